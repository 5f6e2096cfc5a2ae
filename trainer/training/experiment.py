"""The order of a job's runs: the search, then the chosen settings from several seeds. Knows runs
and their results; no engine, no file and no test row.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

from trainer.errors import TrainingDiverged
from trainer.jobs.states import Phase
from trainer.jobs.values import JobSpec
from trainer.training.cost_model import RunCost, expect_halving, mean_work
from trainer.training.run_result import RunResult, best_run
from trainer.training.runs import Runs
from trainer.training.search import REDUCTION, Search

_NUM_SEEDS_THERE_ARE = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """All runs of the chosen settings that completed, in the order of their seeds."""

    outcomes: list[RunResult]
    #: sentences about those that did not
    warnings: list[str]
    #: the seeds of those that did not
    diverged_seeds: list[int] = field(default_factory=list)
    #: none without a search
    search: dict[str, Any] | None = None
    #: the mean of all runs' weights, where it was wanted and is better on dev than each of them
    average: RunResult | None = None

    @property
    def best_run(self) -> RunResult:
        """What is published."""
        return self.average or best_run(self.outcomes)


class EventSink(Protocol):
    """Takes the phases and events of a job, as the lease of a running job does."""

    def enter(self, phase: Phase) -> None: ...

    def emit(self, code: str, message: str, level: str = "info", **data: Any) -> None: ...


def run_experiment(
    runs: Runs, spec: JobSpec, candidates: list[JobSpec], events: EventSink
) -> ExperimentResult:
    """Raises TrainingDiverged where no run completed. `candidates` are the settings that a search
    tries; a single candidate is trained without a search.
    """
    if len(candidates) == 1:
        return _seeds(runs, candidates[0], None, events)
    halving = spec.settings.search is not None and spec.settings.search.halving
    works = [RunCost.of(runs.run_config_of(each)) for each in candidates]
    # whichever wins has trained its first seed by then
    seeds = [mean_work(works)] * (spec.settings.seeds - 1)
    runs.expect([*(expect_halving(works, REDUCTION) if halving else works), *seeds])
    events.enter(Phase.SEARCHING)
    search = Search(runs, spec, candidates, halving=halving, emit=events.emit)
    best = search.run()
    return replace(_seeds(runs, best.spec, best, events), search=search.report())


def _seeds(
    runs: Runs, chosen: JobSpec, done: RunResult | None, events: EventSink
) -> ExperimentResult:
    """The same setting from one seed after the other; the search's own run is the first of them."""
    events.enter(Phase.TRAINING)
    outcomes, warnings, diverged = [done] if done else [], [], list[int]()
    specs = seeds_of(chosen)[len(outcomes) :]
    for number, spec in enumerate(specs):
        runs.expect([_expected_cost(runs, spec, outcomes)] * (len(specs) - number))
        try:
            outcomes.append(runs.train(spec, f"seed-{spec.settings.seed}"))
        except TrainingDiverged as error:
            warnings.append(f"Seed {spec.settings.seed} is left out: {error}")
            diverged.append(spec.settings.seed)
            events.emit("run.diverged", warnings[-1], "warn", seed=spec.settings.seed)
            if len(warnings) == chosen.settings.seeds:
                raise
    return ExperimentResult(
        outcomes=outcomes,
        warnings=warnings,
        diverged_seeds=diverged,
        average=_average(runs, chosen, outcomes, events),
    )


def _average(
    runs: Runs, chosen: JobSpec, outcomes: list[RunResult], events: EventSink
) -> RunResult | None:
    if not chosen.settings.average_seeds or len(outcomes) < 2:
        return None
    average, seeds = runs.average(outcomes), [outcome.seed for outcome in outcomes]
    if average is None and not outcomes[0].run_config.dev:
        message = "There are no dev rows to judge the mean of the seeds' weights; one seed is kept."
    elif average is None:
        message = "The mean of the seeds' weights is no better on dev; the best seed is kept."
    else:
        message = "The mean of the seeds' weights is better on dev than each seed; it is published."
    events.emit("seeds.averaged", message, seeds=seeds, published=average is not None)
    return average


def _expected_cost(runs: Runs, spec: JobSpec, outcomes: list[RunResult]) -> RunCost:
    """As long as the seeds before took, that may have ended early."""
    work = RunCost.of(runs.run_config_of(spec))
    ended = [len(outcome.state.epochs) for outcome in outcomes]
    return replace(work, epochs=fmean(ended)) if ended else work


def seeds_of(spec: JobSpec) -> list[JobSpec]:
    """The job once for each seed. Seeds that are averaged begin with the same weights: the mean of
    weights that were drawn apart is not a good adapter.
    """
    settings = spec.settings
    first = settings.seed if settings.initial_seed is None else settings.initial_seed
    begin = {"initial_seed": first} if settings.average_seeds else {}
    seeds = [(settings.seed + number) % _NUM_SEEDS_THERE_ARE for number in range(settings.seeds)]
    return [
        replace(spec, settings=settings.model_copy(update={"seed": seed, **begin}))
        for seed in seeds
    ]
