"""Random search on dev: candidates are trained one after the other on the rows and activations that
all share, and poor ones end early. Knows runs and dev scores; draws no candidate.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.errors import TrainingDiverged
from trainer.jobs.events import EmitEvent
from trainer.jobs.values import JobSpec
from trainer.recipe.search_space import differences
from trainer.training.early_stopping import should_stop
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_config import RunConfig
from trainer.training.run_result import RunResult, best_run
from trainer.training.runs import Runs

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

#: successive halving judges after 1, 2, 4 … epochs: who is not in the better half of those that
#: came so far ends there
REDUCTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """What became of one candidate."""

    number: int
    #: what it has otherwise than the job
    settings: dict[str, Any]
    #: completed, pruned or diverged
    status: str
    dev: dict[str, Any]
    epochs: int
    planned_epochs: int
    steps: int
    planned_steps: int

    @property
    def sentence(self) -> str:
        words = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return (
            f"Trial {self.number} ({words or 'the setting as it stands'}) {self.status} after "
            f"{self.epochs} of {self.planned_epochs} epochs."
        )


@dataclass(slots=True)
class Search:
    """One search. The best run's slot stays open, the others are closed as soon as they lose."""

    runs: Runs
    spec: JobSpec
    candidates: list[JobSpec]
    halving: bool
    emit: EmitEvent
    trials: list[TrialReport] = field(init=False, default_factory=list)
    _best: RunResult | None = field(init=False, default=None)
    _chosen: int = field(init=False, default=0)

    def run(self) -> RunResult:
        """The best that was not ended early. Raises TrainingDiverged where all diverged."""
        study = _study() if self.halving else None
        for number, candidate in enumerate(self.candidates):
            run_config = self.runs.run_config_of(candidate)
            halved = _Halved(run_config, study.ask() if study else None)
            trial = self._tried(number, candidate, run_config, halved)
            self.trials.append(trial)
            self.emit("search.trial", trial.sentence, **asdict(trial))
        if self._best is None:
            raise TrainingDiverged(
                f"All {len(self.candidates)} settings that were tried diverged; smaller learning "
                "rates may help."
            )
        dev = self._best.best_epoch.dev
        self.emit("search.chosen", f"Trial {self._chosen} is best on dev.", dev=dev)
        return self._best

    def report(self) -> dict[str, Any]:
        pruned = [trial for trial in self.trials if trial.status == "pruned"]
        return {
            "chosen": self._chosen,
            "trials": [asdict(trial) for trial in self.trials],
            "steps": sum(trial.steps for trial in self.trials),
            "saved_steps": sum(trial.planned_steps - trial.steps for trial in pruned),
        }

    def _tried(
        self, number: int, candidate: JobSpec, run_config: RunConfig, halved: _Halved
    ) -> TrialReport:
        plan: dict[str, Any] = {
            "number": number,
            "settings": differences(self.spec, candidate),
            "planned_epochs": run_config.settings.epochs,
            "planned_steps": run_config.num_steps,
        }
        try:
            outcome = self.runs.train(candidate, f"trial-{number}", halved.goes_on)
        except TrainingDiverged as error:
            epochs = error.step // run_config.steps_per_epoch
            return TrialReport(**plan, status="diverged", dev={}, epochs=epochs, steps=error.step)
        if halved.is_pruned or not self._wins(outcome):
            self.runs.drop(outcome)
        else:
            self._best, self._chosen = outcome, number
        return TrialReport(
            **plan,
            status="pruned" if halved.is_pruned else "completed",
            dev=outcome.best_epoch.dev,
            epochs=len(outcome.state.epochs),
            steps=outcome.state.step,
        )

    def _wins(self, outcome: RunResult) -> bool:
        """The best before it is dropped then."""
        if self._best is None:
            return True
        wins = best_run([self._best, outcome]) is outcome
        if wins:
            self.runs.drop(self._best)
        return wins


@dataclass(slots=True)
class _Halved:
    """One candidate's place in successive halving; without a trial every candidate goes on."""

    run_config: RunConfig
    trial: Trial | None
    is_pruned: bool = False
    _num_reported: int = 0

    def goes_on(self, state: LoopState) -> bool:
        if self.trial is None or state.best is None:
            return True
        is_poor = False
        # a run that goes on from a state has epochs that were not told of yet
        for number in range(self._num_reported + 1, len(state.epochs) + 1):
            best = max(_value(epoch) for epoch in state.epochs[:number])
            self.trial.report(best, number)
            is_poor = self.trial.should_prune()
        self._num_reported = len(state.epochs)
        self.is_pruned = is_poor and not should_stop(state, self.run_config.settings)
        return not self.is_pruned


def _value(epoch: Epoch) -> float:
    """A number that can be sorted, whatever the metric came to."""
    worst = -sys.float_info.max
    return worst if epoch.score is None else max(epoch.score, worst)


def _study() -> Study:
    # here, and not at the front door's start: a quarter of a second
    from optuna import create_study, logging
    from optuna.pruners import SuccessiveHalvingPruner

    logging.set_verbosity(logging.WARNING)
    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    return create_study(direction="maximize", pruner=pruner)
