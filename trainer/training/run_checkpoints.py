"""The checkpoints in one run's folder: the loop's state as JSON, and the engine's state beside it.

Knows files and the engine's step; no job and no claim.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from engine.atomic_files import is_unfinished, remove, write_atomic
from engine.errors import BadCheckpoint, CheckpointFailed
from engine.port import Checkpoint, Checkpointed
from trainer.engine_client import EngineSession
from trainer.training.loop_state import LoopState

_STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRun:
    """What a run goes on from: where the loop is, and which directory the slot is opened with."""

    state: LoopState
    ended: bool
    directory: Path


class RunCheckpoints:
    """One run's folder. It holds one whole checkpoint; another while that is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self) -> SavedRun | None:
        """The last one that was written whole. Raises BadCheckpoint."""
        try:
            saved = json.loads((self._folder / _STATE).read_bytes())
            return SavedRun(
                state=LoopState.from_json(saved["loop"]),
                ended=saved["ended"],
                directory=self._folder / saved["directory"],
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadCheckpoint(f"the state of the run cannot be read: {error}") from error

    def write(
        self, session: EngineSession, slot: int, state: LoopState, *, ended: bool
    ) -> Checkpointed:
        """The slot as it is now, which no step may be on its way into. Raises CheckpointFailed, and
        the one before is still the last then.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            before = self._directories()
            name = str(max((int(path.name) for path in before), default=0) + 1)
            step = Checkpoint(slot=slot, directory=str(self._folder / name))
            written = session.call(step, Checkpointed)
            content = {"directory": name, "ended": ended, "loop": state.to_json()}
            # from here on this is the checkpoint: the engine's part is whole already
            write_atomic(self._folder / _STATE, json.dumps(content).encode())
        except OSError as error:
            raise CheckpointFailed(f"the checkpoint could not be written: {error}") from error
        for directory in before:
            remove(directory)
        return written

    def files(self) -> dict[str, Path]:
        """The last checkpoint's, by their names within the folder, the loop's state among them.
        Raises BadCheckpoint.
        """
        saved = self.last()
        if saved is None:
            return {}
        paths = [self._folder / _STATE, *sorted(saved.directory.iterdir())]
        return {path.relative_to(self._folder).as_posix(): path for path in paths}

    def drop(self) -> None:
        """It is of no use: the run begins anew."""
        remove(self._folder)

    def sweep(self) -> None:
        """Remove what a writer that died left."""
        for path in self._folder.iterdir():
            if is_unfinished(path):
                remove(path)

    def _directories(self) -> list[Path]:
        """The last checkpoint's, and those of writers that died before theirs became it."""
        return [path for path in self._folder.iterdir() if path.name.isdecimal()]
