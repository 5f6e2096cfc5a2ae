"""The watcher of a run that writes checkpoints, from which the run can be continued, here or on
another machine. Knows folders and events; neither rows nor the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import CheckpointFailed
from trainer.engine_client import EngineSession
from trainer.errors import StorageFailed
from trainer.jobs.events import CHECKPOINT, EmitEvent
from trainer.training.loop_state import LoopState
from trainer.training.progress import Progress
from trainer.training.run_checkpoints import RunCheckpoints

#: writing checkpoints takes at most one part in this many of the time
_SHARE = 20


class CheckpointInterval:
    """When to write checkpoints: every `every_s` seconds, and at the end of every epoch unless
    writing would take more than its share of the time.
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
        """Measures the time of writing; the interval counts from its end."""
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
    """A `Watcher` that also calls the job's progress. If a checkpoint cannot be written, or other
    machines cannot have it, it emits an event and the run continues.
    """

    session: EngineSession
    slot: int
    progress: Progress
    checkpoints: RunCheckpoints
    #: lets other machines have the last one; raises StorageFailed
    share: Callable[[], None]
    interval: CheckpointInterval
    emit: EmitEvent
    #: identifies the run among the job's runs
    facts: dict[str, Any]
    _failed: bool = field(init=False, default=False)
    _unshared: bool = field(init=False, default=False)

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
                self._share(facts)
        except CheckpointFailed as error:
            if not self._failed:  # the next ones will probably fail, too; one event is enough
                self.emit("checkpoint.failed", str(error), "warn", **facts)
            self._failed = True
            return
        assert written.num_steps == state.step, "slot and loop are at the same step"
        self._failed = False
        last = state.epochs[-1] if state.epochs else None
        facts |= {"loss": last.loss, "dev_loss": last.dev_loss} if last else {}
        metrics = last.dev if last else {}
        message = f"A checkpoint was saved at step {state.step}."
        self.emit(CHECKPOINT, message, **facts, bytes=written.num_bytes, metrics=metrics)

    def _share(self, facts: dict[str, Any]) -> None:
        """Its time counts as that of writing, so a slow store makes checkpoints rarer."""
        try:
            self.share()
        except StorageFailed as error:
            if not self._unshared:
                message = f"{error} A worker of another machine would go on from an earlier one."
                self.emit("checkpoint.not_shared", message, "warn", **facts)
            self._unshared = True
        else:
            self._unshared = False
