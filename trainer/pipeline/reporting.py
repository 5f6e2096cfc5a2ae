"""From a judged job to its report: gathers the evidence while the slots are still open, and lets
the child judge it. Knows the engine's port and the runs; no figure of the report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.heads import is_generation
from trainer.engine_client import EngineSession
from trainer.evaluation.champion import Champion
from trainer.evaluation.evaluate import Evaluation, predict
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.jobs.events import EmitEvent
from trainer.pipeline.job_result import JobFindings, comparison_warnings
from trainer.pipeline.reference_runs import References
from trainer.report.report_input import Answered, ReportInput
from trainer.report.reporter import report_of
from trainer.report.summary import summary
from trainer.training.run_result import RunResult

#: the name it is kept under beside its version
REPORT = "report"
#: training rows that are looked at for labels that may be wrong
_MOST_SAMPLED = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """One job's way to its report."""

    session: EngineSession
    production: Champion
    references: References
    timeout_s: float
    tell: EmitEvent

    def complete(
        self, found: JobFindings, outcomes: Sequence[RunResult], tests: Sequence[Evaluation]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The job's result with all that was judged, and the documents to keep beside the
        version.
        """
        return self.judged(found.report(), self._evidence(found, outcomes, tests))

    def judged(
        self, result: dict[str, Any], evidence: ReportInput
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """`result`, completed by what the evidence says; and the documents."""
        head = evidence.head["kind"]
        answer = report_of(evidence, timeout_s=self.timeout_s, waiting=self.session.check)
        name = HEAD_DATA[head].baseline
        if "error" in answer:
            self.tell("report.failed", f"There is no report: {answer['error']}", "warn")
            result["baseline"] = {"name": name, "error": answer["error"]}
            return {**result, "report": answer}, {}
        result["metrics"]["test"] = answer["metrics"]
        result["baseline"] = {"name": name, **answer["baseline"]}
        result["report"] = summary(answer["report"])
        result["warnings"] += comparison_warnings(head, result)
        return result, {REPORT: json.dumps(answer["report"]).encode()}

    def _evidence(
        self, found: JobFindings, outcomes: Sequence[RunResult], tests: Sequence[Evaluation]
    ) -> ReportInput:
        course, opened = found.kept.course, found.kept.opened
        test = [row.example for row in found.rows]
        return ReportInput(
            head=found.head,
            train=course.train,
            dev=course.dev,
            test=Answered(rows=found.rows, logits=found.test.logits),
            sample=self._sampled(found),
            runs=[
                _run(outcome, each, found) for outcome, each in zip(outcomes, tests, strict=True)
            ],
            parameters={
                "trainable": opened.num_trainable,
                "base": self.session.info.num_parameters,
            },
            warnings=found.warnings,
            findings=[finding.to_json() for finding in found.prepared.findings],
            learning_curve=self.references.learning_curve(outcomes[0]),
            full_finetuning=self.references.full_finetuning(found),
            production=self.production.answers(
                found.kept.spec, found.prepared.sha256s, found.head, test
            ),
        )

    def _sampled(self, found: JobFindings) -> Answered:
        """Evenly out of the training rows; a text takes too long to write again."""
        rows: Sequence[EncodedRow] = found.kept.course.train
        if is_generation(found.head["kind"]):
            return Answered(rows=[], logits=[])
        rows = sampled(rows)
        slot = found.kept.opened.slot
        logits = predict(self.session, rows, found.head, slot, keyed=True)
        return Answered(rows=rows, logits=logits)


def sampled(rows: Sequence[EncodedRow]) -> Sequence[EncodedRow]:
    """Those that are looked at for labels that may be wrong."""
    return rows[:: -(-len(rows) // _MOST_SAMPLED)]


def _run(outcome: RunResult, test: Evaluation, found: JobFindings) -> dict[str, Any]:
    """One seed's curves, as the page draws them."""
    metrics = HEAD_DATA[found.head["kind"]].metrics
    epochs = [
        {
            "number": epoch.number,
            "loss": epoch.loss,
            "dev_loss": epoch.dev_loss,
            "value": next((epoch.dev[name] for name in metrics if name in epoch.dev), None),
            "best": epoch is outcome.kept,
        }
        for epoch in outcome.state.epochs
    ]
    kept = outcome is found.kept
    return {"seed": outcome.seed, "kept": kept, "epochs": epochs, "test": test.metrics}
