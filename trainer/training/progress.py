"""Reports the progress of a job's runs: steps and evaluations advance the progress, each epoch
emits an event. Knows the loop's watcher and the ETA; no engine and no store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trainer.jobs.events import EPOCH, EmitEvent
from trainer.training.cost_model import ANSWERED, TRAINED, RunCost, Work, drop_filled, sum_work
from trainer.training.eta import EtaEstimator
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_config import RunConfig

GoesOn = Callable[[LoopState], bool]
#: the dev loss is this far above its lowest before anything is said of it
RISE = 1.05


def always(state: LoopState) -> bool:
    """A run that nobody ends early."""
    del state
    return True


@dataclass(slots=True, kw_only=True)
class Progress:
    """The progress of all runs of a job, one after the other. `advance` is called with (share done,
    seconds left) and may raise; `emit` sends events.
    """

    pace: EtaEstimator
    advance: Callable[[float, float | None], None]
    emit: EmitEvent
    #: runs that come after all that is expected: those that only the report wants
    later: list[RunCost] = field(default_factory=list)
    #: what comes after the runs: work by sort, and seconds that no work says
    afterwards: Work = field(default_factory=dict)
    afterwards_s: float = 0.0
    #: the prefixes that were computed, by where they end
    _filled: set[float] = field(init=False, default_factory=set)
    _coming: list[RunCost] = field(init=False, default_factory=list)
    _run: _Run = field(init=False)

    def expect(self, coming: Sequence[RunCost]) -> None:
        """The runs that are still to come."""
        self._coming = list(coming)
        self._plan({})

    @contextmanager
    def run(
        self, name: str, run_config: RunConfig, goes_on: GoesOn, begun: LoopState | None = None
    ) -> Iterator[None]:
        """What was done before, and what a run leaves undone because it ended early, nobody waits
        for.
        """
        coming = self._coming or self.later
        expected = coming.pop(0).epochs if coming else run_config.settings.epochs
        (work,) = drop_filled([replace(RunCost.of(run_config), epochs=expected)], self._filled)
        # opening a slot is no work that is counted
        self.pace.restart()
        num_epochs = len(begun.epochs) if begun else 0
        self._run = _Run(
            name=name, run_config=run_config, goes_on=goes_on, work=work, num_epochs=num_epochs
        )
        self._plan(self._run.left)
        try:
            yield
        finally:
            self._plan({})

    def poll(self) -> None:
        self.advance(self.pace.share, self.pace.eta_s)

    def on_fill_end(self) -> None:
        run = self._run
        self.pace.did(ANSWERED, run.work.fill)
        self._filled.add(run.work.frozen_share)
        run.work = replace(run.work, fill=0.0)

    def on_step_end(self) -> None:
        run = self._run
        self.pace.did(TRAINED, run.work.epoch / run.run_config.steps_per_epoch)
        self.poll()

    def record_answers(self, units: float) -> None:
        """Rows were answered that no run counts."""
        self.pace.did(ANSWERED, units)
        self.poll()

    def on_epoch_end(self, state: LoopState) -> bool:
        run, epoch = self._run, state.epochs[-1]
        run.num_epochs = len(state.epochs)
        if epoch.dev:
            self.pace.did(ANSWERED, run.work.dev)
        self._plan(run.left)
        facts: dict[str, Any] = {"run": run.name, "seed": run.run_config.settings.seed}
        self.emit(
            EPOCH, f"{run.name}: epoch {epoch.number}.", step=state.step, **facts, **asdict(epoch)
        )
        if overfits(state.epochs) and not run.has_overfitted:
            run.has_overfitted = True
            self.emit("run.overfits", _overfitting(run.name, state), "warn", **facts)
        self.poll()
        return run.goes_on(state)

    def _plan(self, current: Work) -> None:
        begun = {*self._filled, *([self._run.work.frozen_share] if current else [])}
        coming = [work.remaining(0) for work in drop_filled([*self._coming, *self.later], begun)]
        self.pace.expect(sum_work([current, *coming, self.afterwards]), self.afterwards_s)


@dataclass(slots=True, kw_only=True)
class _Run:
    """The run that is on its way."""

    name: str
    run_config: RunConfig
    goes_on: GoesOn
    work: RunCost
    num_epochs: int = 0
    has_overfitted: bool = False

    @property
    def left(self) -> Work:
        """A run that was expected to have ended is good for another epoch."""
        most = float(self.run_config.settings.epochs)
        expected = min(most, max(self.work.epochs, self.num_epochs + 1.0))
        return replace(self.work, epochs=expected).remaining(self.num_epochs)


def overfits(epochs: Sequence[Epoch]) -> bool:
    """Whether the last two epochs each lowered the training loss and raised the dev loss."""
    if len(epochs) < 3:
        return False
    first, second, third = (epoch.dev_loss for epoch in epochs[-3:])
    if first is None or second is None or third is None:
        return False
    losses = [epoch.loss for epoch in epochs[-3:]]
    falls = losses[0] > losses[1] > losses[2]
    lowest = min(epoch.dev_loss for epoch in epochs if epoch.dev_loss is not None)
    return falls and first < second < third and third > lowest * RISE


def _overfitting(name: str, state: LoopState) -> str:
    before, last = state.epochs[-3], state.epochs[-1]
    return (
        f"{name} overfits: from epoch {before.number} to {last.number} the training loss fell from "
        f"{before.loss:.3g} to {last.loss:.3g} while the dev loss rose from {before.dev_loss:.3g} "
        f"to {last.dev_loss:.3g}. The best epoch on dev is kept; more rows, more dropout or a "
        "smaller adapter may help."
    )
