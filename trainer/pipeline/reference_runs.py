"""Further runs that only the report needs: on subsets of the rows (the learning curve), and full
fine-tuning of a copy of the base. Their results are neither kept nor served.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from statistics import fmean
from typing import Any

import numpy as np

from engine.heads import PREDICTION_HEADS, is_generation
from trainer.engine_client import EngineSession
from trainer.errors import TrainingDiverged
from trainer.evaluation.evaluate import read_predictions
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.jobs.values import JobSpec
from trainer.pipeline.evaluated_experiment import EvaluatedExperiment
from trainer.report.learning_curve import LearningPoint
from trainer.sandbox.command import ask_child
from trainer.settings.settings import TrainingSettings
from trainer.training.cost_model import RunCost, expect_halving
from trainer.training.run_config import RunConfig
from trainer.training.run_result import RunResult
from trainer.training.runs import Runs
from trainer.training.search import REDUCTION

#: of the rows, beside all of them
_SHARES = (0.25, 0.5)
#: fewer rows teach an adapter nothing
_LEAST_ROWS = 16
MODULE = "engine.training.full_finetuning"
#: of a base: each takes sixteen bytes while it trains
MOST_PARAMETERS = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """`runs` opens trainings on other rows."""

    session: EngineSession
    runs: Callable[[RunConfig], AbstractContextManager[Runs]]
    #: full fine-tuning, where it is wanted, may take this long
    timeout_s: float = 4 * 3600.0

    def learning_curve(self, whole: RunResult) -> list[LearningPoint] | None:
        """What a quarter, a half and all of the rows reach on dev, from one seed and in as many
        steps: with fewer of them a share would also have learned less of its rows.
        """
        run_config = whole.run_config
        if not curve_shares(whole.spec.settings) or not run_config.dev:
            return None
        order = np.random.Generator(np.random.Philox(whole.seed)).permutation(len(run_config.train))
        points: list[LearningPoint] = []
        for share in curve_shares(whole.spec.settings):
            rows = [run_config.train[i] for i in order[: round(share * len(order))].tolist()]
            if len(rows) >= _LEAST_ROWS:
                # the job's own runs came to their end: what only the report wants may not undo them
                with self.runs(replace(run_config, train=rows)) as runs, suppress(TrainingDiverged):
                    part = runs.train(_as_many_steps(whole.spec, share), f"share-{share:g}")
                    points.append(_point(share, len(rows), part))
        return [*points, _point(1.0, len(run_config.train), whole)]

    def full_finetuning(self, evaluated: EvaluatedExperiment) -> dict[str, Any] | None:
        """{"guesses", …} of a copy of the base, trained whole; {"error"} where it was not."""
        spec, head = evaluated.best_run.spec, evaluated.head
        if not spec.settings.full_finetuning:
            return None
        if problem := self._problem(head, self.session.info.num_parameters):
            return {"error": problem}
        try:
            answer = ask_child(
                MODULE,
                self._question(evaluated),
                timeout_s=self.timeout_s,
                waiting=self.session.check,
            )
        except (ChildProcessError, TimeoutError) as error:
            return {"error": f"Full fine-tuning failed: {error}"}
        answers = iter([np.asarray(each, np.float32) for each in answer.pop("logits")])
        kind = PREDICTION_HEADS[head["kind"]]
        logits = [
            kind.merge_logits(list(islice(answers, len(row.pieces))), row.encodings)
            for row in evaluated.test_rows
        ]
        trained_head = evaluated.best_run.run_config.head
        rows = evaluated.test_rows
        return {**answer, "guesses": read_predictions(self.session, rows, logits, trained_head)}

    def _problem(self, head: dict[str, Any], num_base: int) -> str | None:
        family, kind = self.session.info.family, head["kind"]
        if is_generation(kind) or kind == "embed" or family == "seq2seq":
            return f"There is no reference of full fine-tuning for a {kind} head."
        if num_base > MOST_PARAMETERS:
            return (
                f"The base has {num_base:,} parameters; full fine-tuning is tried with at most "
                f"{MOST_PARAMETERS:,}."
            )
        return None

    def _question(self, evaluated: EvaluatedExperiment) -> dict[str, Any]:
        run_config, settings = evaluated.best_run.run_config, evaluated.best_run.spec.settings
        parts = {"train": run_config.train, "test": evaluated.test_rows}
        return {
            "base": self.session.info.base,
            "device": self.session.info.device,
            "threads": self.session.info.num_threads,
            "head": run_config.head,
            "seed": evaluated.best_run.seed,
            "epochs": settings.epochs,
            "batch_rows": settings.batch_rows,
            **{name: [_pieces(row) for row in rows] for name, rows in parts.items()},
        }


def curve_shares(settings: TrainingSettings) -> tuple[float, ...]:
    """Of the rows, that a learning curve trains on beside all of them; none where none is
    wanted.
    """
    return _SHARES if settings.learning_curve else ()


def planned_epochs(spec: JobSpec, tried: Sequence[JobSpec]) -> float:
    """How many passes over the training rows a job plans, over all its runs, if no run stops early
    but those that successive halving ends; of those, as many as it ends on average. `tried` are the
    candidates of its search; the winner's run is the first of the seeds.
    """
    search = spec.settings.search
    costs = [RunCost(fill=0.0, epoch=1.0, dev=0.0, epochs=each.settings.epochs) for each in tried]
    mean_epochs = fmean(cost.epochs for cost in costs)
    done = expect_halving(costs, REDUCTION) if search is not None and search.halving else costs
    curve = len(curve_shares(spec.settings))  # a share of the rows in as many more epochs
    return sum(cost.epochs for cost in done) + mean_epochs * (spec.settings.seeds - 1 + curve)


def _as_many_steps(spec: JobSpec, share: float) -> JobSpec:
    """On a share of its rows."""
    settings = spec.settings
    longer = {name: round(getattr(settings, name) / share) for name in ("epochs", "patience")}
    return replace(spec, settings=settings.model_copy(update=longer))


def _point(share: float, num_rows: int, outcome: RunResult) -> LearningPoint:
    data, dev = HEAD_DATA[outcome.run_config.head["kind"]], outcome.best_epoch.dev
    value = next(dev[name] for name in data.metrics if name in dev)
    better = data.more_is_better
    return {"share": share, "rows": num_rows, "value": value, "more_is_better": better}


def _pieces(row: EncodedRow) -> list[dict[str, Any]]:
    return [
        {"ids": piece.ids, "type_ids": piece.type_ids, "target": piece.target}
        for piece in row.pieces
    ]
