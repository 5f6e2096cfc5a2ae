"""Random search on dev rows: candidates are trained one after the other on shared rows and
activations, and poor ones are pruned. Knows runs and dev scores; draws no candidate.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
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

#: successive halving compares after 1, 2, 4 … epochs: a trial that is not in the better half of
#: those that came as far is pruned there
REDUCTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """What became of one candidate."""

    number: int
    #: the settings that differ from the job's
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
            f"Trial {self.number} ({words or 'the settings of the job'}) {self.status} after "
            f"{self.epochs} of {self.planned_epochs} epochs."
        )


class Search:
    """One search. The best run's slot stays open; the others are closed as soon as they lose."""

    def __init__(
        self,
        runs: Runs,
        spec: JobSpec,
        candidates: list[JobSpec],
        *,
        halving: bool,
        emit: EmitEvent,
    ) -> None:
        self._runs, self._spec, self._candidates = runs, spec, candidates
        self._halving, self._emit = halving, emit
        self._trials: list[TrialReport] = []
        self._best: RunResult | None = None
        self._chosen = 0

    def run(self) -> RunResult:
        """The best run that was not pruned. Raises TrainingDiverged where all diverged."""
        study = _create_study() if self._halving else None
        for number, candidate in enumerate(self._candidates):
            run_config = self._runs.run_config_of(candidate)
            halving_trial = _HalvingTrial(run_config, study.ask() if study else None)
            report = self._run_trial(number, candidate, run_config, halving_trial)
            self._trials.append(report)
            self._emit("search.trial", report.sentence, **asdict(report))
        if self._best is None:
            raise TrainingDiverged(
                f"All {len(self._candidates)} trials of the search diverged; smaller learning "
                "rates may help."
            )
        dev = self._best.best_epoch.dev
        self._emit("search.chosen", f"Trial {self._chosen} has the best dev score.", dev=dev)
        return self._best

    def report(self) -> dict[str, Any]:
        pruned = [trial for trial in self._trials if trial.status == "pruned"]
        return {
            "chosen": self._chosen,
            "trials": [asdict(trial) for trial in self._trials],
            "steps": sum(trial.steps for trial in self._trials),
            "saved_steps": sum(trial.planned_steps - trial.steps for trial in pruned),
        }

    def _run_trial(
        self, number: int, candidate: JobSpec, run_config: RunConfig, halving_trial: _HalvingTrial
    ) -> TrialReport:
        plan: dict[str, Any] = {
            "number": number,
            "settings": differences(self._spec, candidate),
            "planned_epochs": run_config.settings.epochs,
            "planned_steps": run_config.num_steps,
        }
        try:
            outcome = self._runs.train(candidate, f"trial-{number}", halving_trial.goes_on)
        except TrainingDiverged as error:
            epochs = error.step // run_config.steps_per_epoch
            return TrialReport(**plan, status="diverged", dev={}, epochs=epochs, steps=error.step)
        if halving_trial.is_pruned or not self._wins(outcome):
            self._runs.drop(outcome)
        else:
            self._best, self._chosen = outcome, number
        return TrialReport(
            **plan,
            status="pruned" if halving_trial.is_pruned else "completed",
            dev=outcome.best_epoch.dev,
            epochs=len(outcome.state.epochs),
            steps=outcome.state.step,
        )

    def _wins(self, outcome: RunResult) -> bool:
        """If it wins, the best run before it is dropped."""
        if self._best is None:
            return True
        wins = best_run([self._best, outcome]) is outcome
        if wins:
            self._runs.drop(self._best)
        return wins


class _HalvingTrial:
    """One candidate's place in successive halving; without a trial no candidate is pruned."""

    def __init__(self, run_config: RunConfig, trial: Trial | None) -> None:
        self.is_pruned = False
        self._run_config, self._trial = run_config, trial
        self._num_reported = 0

    def goes_on(self, state: LoopState) -> bool:
        if self._trial is None or state.best is None:
            return True
        is_poor = False
        # a run that is continued from a checkpoint has epochs that were not reported yet
        for number in range(self._num_reported + 1, len(state.epochs) + 1):
            best = max(_value(epoch) for epoch in state.epochs[:number])
            self._trial.report(best, number)
            is_poor = self._trial.should_prune()
        self._num_reported = len(state.epochs)
        self.is_pruned = is_poor and not should_stop(state, self._run_config.settings)
        return not self.is_pruned


def _value(epoch: Epoch) -> float:
    """The epoch's score, or the lowest number where there is none or it is not finite."""
    worst = -sys.float_info.max
    return worst if epoch.score is None else max(epoch.score, worst)


def _create_study() -> Study:
    # imported here, because importing optuna would add a quarter of a second to the server's start
    from optuna import create_study, logging
    from optuna.pruners import SuccessiveHalvingPruner

    logging.set_verbosity(logging.WARNING)
    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    return create_study(direction="maximize", pruner=pruner)
