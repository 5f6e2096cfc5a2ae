"""One run's folder of checkpoints: the trainer's side of each as JSON, the engine's beside it.

Knows files and the engine's step; not what a state means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.durable import remove, write_whole
from engine.errors import CheckpointFailed
from engine.port import Checkpoint, Checkpointed, EnginePort
from trainer.ask import ask

_STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a run goes on from: the trainer's side of it, and where the engine's is."""

    state: dict[str, Any]
    directory: Path


class RunCheckpoints:
    """One run's folder. It holds one whole checkpoint; another while that is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self) -> Kept | None:
        """The last one that was written whole."""
        try:
            found = json.loads((self._folder / _STATE).read_bytes())
        except FileNotFoundError:
            return None
        return Kept(state=found["state"], directory=self._folder / found["directory"])

    def write(self, port: EnginePort, slot: int, state: Mapping[str, Any]) -> Checkpointed:
        """The slot as it is now, which no step may be on its way into. Raises CheckpointFailed, and
        the one before is still the last then.
        """
        before = self.last()
        try:
            self._folder.mkdir(exist_ok=True)
            name = self._free_name()
            told = ask(
                port, Checkpoint(slot=slot, directory=str(self._folder / name)), Checkpointed
            )
            content = json.dumps({"directory": name, "state": state}).encode()
            # from here on this is the checkpoint: the engine's part is whole already
            write_whole(self._folder / _STATE, content)
        except OSError as error:
            raise CheckpointFailed(f"the checkpoint could not be written: {error}") from error
        if before is not None:
            remove(before.directory)
        return told

    def drop(self) -> None:
        """It is of no use: the run begins anew."""
        remove(self._folder)

    def sweep(self) -> None:
        """Remove what a writer that died left."""
        kept = self.last()
        wanted = {_STATE, kept.directory.name if kept else ""}
        for path in self._folder.iterdir():
            if path.name not in wanted:
                remove(path)

    def _free_name(self) -> str:
        taken = [int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()]
        return str(max(taken, default=0) + 1)
