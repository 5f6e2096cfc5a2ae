"""From an evaluated job to its report: collects the evidence while the slots are still open, and
has a child process compute it. Knows the engine's port and the runs; no figure of the report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.heads import is_generation
from trainer.engine_client import EngineSession
from trainer.evaluation.champion import Champion
from trainer.evaluation.evaluate import Evaluation, predict, read_predictions
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.jobs.events import EmitEvent
from trainer.pipeline.evaluated_experiment import EvaluatedExperiment
from trainer.pipeline.job_result import JobResult, comparison_warnings
from trainer.pipeline.reference_runs import References
from trainer.recipe.recipe import learning_rate
from trainer.report.report import summarize_report
from trainer.report.report_input import AnsweredRows, Epoch, ReportInput, Run
from trainer.report.reporter import make_report
from trainer.report.verdict import describe_verdict
from trainer.settings.settings import TrainingSettings
from trainer.training.run_result import RunResult, best_run

#: the name of the report among the version's documents
REPORT = "report"
#: training rows that are checked for labels that may be wrong
_MOST_SAMPLED = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """Makes the report of one job."""

    session: EngineSession
    production: Champion
    references: References
    timeout_s: float
    emit: EmitEvent

    def add_report(
        self, result: JobResult, evidence: ReportInput
    ) -> tuple[JobResult, dict[str, bytes]]:
        """`result` with the report on `evidence`, and the documents to keep with the version."""
        head = evidence.head["kind"]
        answer = make_report(evidence, timeout_s=self.timeout_s, waiting=self.session.check)
        name = HEAD_DATA[head].baseline
        if "error" in answer:
            self.emit(
                "report.failed", f"The report could not be computed: {answer['error']}", "warn"
            )
            baseline = {"name": name, "error": answer["error"]}
            return replace(result, baseline=baseline, report=answer), {}
        metrics, baseline = answer["metrics"], {"name": name, **answer["baseline"]}
        warnings = comparison_warnings(head, metrics, baseline)
        for warning in warnings:
            self.emit("report.warning", warning, "warn")
        verdict = answer["report"]["verdict"]
        level = "warn" if verdict["decision"] == "do_not_ship" else "info"
        self.emit("report.verdict", describe_verdict(verdict), level, decision=verdict["decision"])
        completed = replace(
            result,
            test_metrics=metrics,
            baseline=baseline,
            report=summarize_report(answer["report"]),
            warnings=[*result.warnings, *warnings],
        )
        return completed, {REPORT: json.dumps(answer["report"]).encode()}

    def evidence(self, evaluated: EvaluatedExperiment) -> ReportInput:
        """Uses the training slots of all runs."""
        run, outcomes = evaluated.best_run, evaluated.experiment.outcomes
        test = [row.example for row in evaluated.test_rows]
        return ReportInput(
            head=evaluated.head,
            train=run.run_config.train,
            dev=run.run_config.dev,
            test=AnsweredRows(
                rows=evaluated.test_rows,
                answers=evaluated.test.answers,
                predictions=evaluated.test.predictions,
            ),
            dev_answers=evaluated.dev_answers,
            error_costs=_error_costs(run.spec.settings),
            sample=self._sample(evaluated),
            runs=[
                _curves(outcome, evaluation, evaluated)
                for outcome, evaluation in zip(outcomes, evaluated.tests, strict=True)
            ],
            parameters={
                "trainable": run.opened.num_trainable,
                "base": self.session.info.num_parameters,
            },
            preset=run.spec.settings.preset,
            averaged=evaluated.experiment.average is not None,
            diverged_seeds=evaluated.experiment.diverged_seeds,
            warnings=evaluated.warnings,
            findings=[finding.to_json() for finding in evaluated.prepared.findings],
            search=_search(evaluated),
            learning_curve=self.references.learning_curve(outcomes[0]),
            full_finetuning=self.references.full_finetuning(evaluated),
            production=self.production.answers(
                run.spec, evaluated.prepared.sha256s, evaluated.head, test
            ),
        )

    def _sample(self, evaluated: EvaluatedExperiment) -> AnsweredRows:
        """The answers to some training rows; generating texts again would take too long."""
        head, run = evaluated.head, evaluated.best_run
        if is_generation(head["kind"]):
            return AnsweredRows(rows=[], answers=[], predictions=[])
        rows = sample_rows(run.run_config.train)
        answers = predict(self.session, rows, head, run.opened.slot, keyed=True)
        predictions = read_predictions(self.session, rows, answers, head)
        return AnsweredRows(rows=rows, answers=answers, predictions=predictions)


def sample_rows(rows: Sequence[EncodedRow]) -> Sequence[EncodedRow]:
    """The training rows, evenly spaced, that are checked for labels that may be wrong."""
    return rows[:: -(-len(rows) // _MOST_SAMPLED)]


def _error_costs(settings: TrainingSettings) -> dict[str, float] | None:
    """Weights that were chosen label by label; `balanced` follows from the data, not from costs."""
    weights = settings.class_weights
    return dict(weights) if isinstance(weights, dict) else None


def _search(evaluated: EvaluatedExperiment) -> dict[str, Any] | None:
    """With the job's own settings, from which the trials differ."""
    search, spec = evaluated.experiment.search, evaluated.prepared.spec
    if search is None:
        return None
    own = {**spec.settings.model_dump(), "kind": spec.kind, "learning_rate": learning_rate(spec)}
    return {**search, "settings": own}


def _curves(outcome: RunResult, test: Evaluation, evaluated: EvaluatedExperiment) -> Run:
    """One seed's curves, as the page draws them."""
    metrics = HEAD_DATA[evaluated.head["kind"]].metrics
    epochs: list[Epoch] = [
        {
            "number": epoch.number,
            "loss": epoch.loss,
            "dev_loss": epoch.dev_loss,
            "value": next((epoch.dev[name] for name in metrics if name in epoch.dev), None),
            "best": epoch is outcome.best_epoch,
        }
        for epoch in outcome.state.epochs
    ]
    kept = outcome is best_run(evaluated.experiment.outcomes)
    return {"seed": outcome.seed, "kept": kept, "epochs": epochs, "test": test.metrics}
