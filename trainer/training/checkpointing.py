"""A run that can be left and gone on with: its watcher, which writes checkpoints. Knows folders and
events; neither rows nor the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import CheckpointFailed
from trainer.engine_client import EngineSession
from trainer.jobs.events import CHECKPOINT, EmitEvent
from trainer.training.loop_state import LoopState
from trainer.training.progress import Progress
from trainer.training.run_checkpoints import RunCheckpoints

#: writing takes at most one part in so many of the time
_SHARE = 20


class CheckpointInterval:
    """Every so many seconds, and at every epoch's end unless epochs are so short that writing would
    take more than its share.
    """

    def __init__(self, every_s: float, clock: Callable[[], float]) -> None:
        self._every_s = every_s
        self._clock = clock
        self._last = clock()
        self._cost_s = 0.0

    @property
    def due(self) -> bool:
        return self._clock() - self._last >= max(self._every_s, self._least_s)

    @property
    def affordable(self) -> bool:
        return self._clock() - self._last >= self._least_s

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Measures what it costs, and counts from its end."""
        begun = self._clock()
        try:
            yield
        finally:
            self._last = self._clock()
            self._cost_s = self._last - begun

    @property
    def _least_s(self) -> float:
        return self._cost_s * _SHARE


@dataclass(slots=True, kw_only=True)
class CheckpointCallback:
    """A `Watcher` that hands on what it sees. A checkpoint that cannot be written is told of, and
    the run goes on without it.
    """

    session: EngineSession
    slot: int
    progress: Progress
    checkpoints: RunCheckpoints
    interval: CheckpointInterval
    emit: EmitEvent
    #: what tells this run from the job's others
    facts: dict[str, Any]
    _failed: bool = field(init=False, default=False)

    def on_fill_end(self) -> None:
        self.progress.on_fill_end()

    def on_step_end(self) -> None:
        self.progress.on_step_end()

    @property
    def checkpoint_due(self) -> bool:
        return self.interval.due

    def on_checkpoint(self, state: LoopState) -> None:
        self._write(state)

    def on_epoch_end(self, state: LoopState) -> bool:
        if self.interval.affordable:
            self._write(state)
        return self.progress.on_epoch_end(state)

    def on_interrupt(self, state: LoopState) -> None:
        self._write(state)

    def on_end(self, state: LoopState) -> None:
        """The run has ended: a later attempt takes its result and does not train it again."""
        self._write(state, ended=True)

    def _write(self, state: LoopState, *, ended: bool = False) -> None:
        facts = {**self.facts, "step": state.step, "epoch": len(state.epochs)}
        try:
            with self.interval.writing():
                written = self.checkpoints.write(self.session, self.slot, state, ended=ended)
        except CheckpointFailed as error:
            if not self._failed:  # the next ones will fail likewise; one line is enough
                self.emit("checkpoint.failed", str(error), "warn", **facts)
            self._failed = True
            return
        assert written.num_steps == state.step, "the slot is where the loop is"
        self._failed = False
        last = state.epochs[-1] if state.epochs else None
        facts |= {"loss": last.loss, "dev_loss": last.dev_loss} if last else {}
        metrics = last.dev if last else {}
        message = f"Step {state.step} was saved."
        self.emit(CHECKPOINT, message, **facts, bytes=written.num_bytes, metrics=metrics)
