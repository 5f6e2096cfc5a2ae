"""The result of a finished run, and means over several of them. Trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from engine.port import TrainingOpened
from trainer.evaluation.evaluate import Evaluation
from trainer.jobs.values import JobSpec
from trainer.metrics.metrics import Metrics
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_config import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What one run was, what it came to, and the slot that still holds it."""

    #: as the run itself had it: its own seed, and in a search its own settings
    spec: JobSpec
    run_config: RunConfig
    opened: TrainingOpened
    state: LoopState
    #: of the dev rows, where the slot holds the mean of several runs' weights instead of this run's
    averaged_dev: Metrics | None = None

    @property
    def seed(self) -> int:
        return self.spec.settings.seed

    @property
    def best_epoch(self) -> Epoch:
        """The epoch whose weights the slot holds: the best on dev, else the last."""
        best = [epoch for epoch in self.state.epochs if epoch.best]
        return best[-1] if best else self.state.epochs[-1]

    @property
    def dev_metrics(self) -> Metrics:
        """Of the weights that the slot holds; empty where there are no dev rows."""
        return self.best_epoch.dev if self.averaged_dev is None else self.averaged_dev


def best_run(outcomes: Sequence[RunResult]) -> RunResult:
    """On dev rows; the first where there are none, and of equals."""
    return max(outcomes, key=lambda outcome: outcome.state.best or ())


def seeds_report(
    outcomes: Sequence[RunResult], tests: Sequence[Evaluation], *, averaged: bool
) -> dict[str, Any]:
    """What another seed of the same setting would have come to. `averaged`: the mean of their
    weights is published, else that of the seed that is kept.
    """
    return {
        "seeds": [outcome.seed for outcome in outcomes],
        "kept": best_run(outcomes).seed,
        "averaged": averaged,
        "dev": _spread([outcome.best_epoch.dev for outcome in outcomes]),
        "test": _spread([test.metrics for test in tests]),
    }


def _spread(metrics: Sequence[Metrics]) -> dict[str, Any]:
    """Of every metric that is one number: its mean and standard deviation over the runs, and each.
    A metric without a value in one of them has none here.
    """
    names = [name for name, value in metrics[0].items() if not isinstance(value, dict)]
    values = {name: [each.get(name) for each in metrics] for name in names}
    return {name: _moments(numbers) for name, numbers in values.items()}


def _moments(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "std": None, "values": list(values)}
    spread = stdev(known) if len(known) > 1 else None
    return {"mean": fmean(known), "std": spread, "values": known}
