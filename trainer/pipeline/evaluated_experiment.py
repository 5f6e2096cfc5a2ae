"""A finished experiment with its evaluation on the test rows, and the result that follows from it.
Knows runs and rows; no engine and no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.data_checks.finding import Finding, Severity
from trainer.data_checks.learning_rate import unusual_learning_rate
from trainer.evaluation.evaluate import Evaluation
from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer
from trainer.pipeline.job_result import JobResult, TrainingResult
from trainer.pipeline.prepare import Prepared
from trainer.training.cost_model import num_tokens
from trainer.training.experiment import ExperimentResult
from trainer.training.run_result import RunResult, seeds_report
from trainer.wording import count_of

#: below this mean loss per token, nearly every token should be generated as in training
_LOW_LOSS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedExperiment:
    """All runs of the chosen settings, with their evaluations on the test rows."""

    prepared: Prepared
    #: as it will be served: with its temperature
    head: dict[str, Any]
    test_rows: list[EncodedRow]
    experiment: ExperimentResult
    #: one for each run
    tests: list[Evaluation]
    #: the published run's logits of the dev rows; none for heads without labels
    dev_answers: Sequence[Answer] = ()
    #: of the mean of all runs' weights, where that is published
    average_test: Evaluation | None = None

    @property
    def best_run(self) -> RunResult:
        """The run that is published."""
        return self.experiment.best_run

    @property
    def test(self) -> Evaluation:
        """The evaluation of the run that is published."""
        if self.average_test is not None:
            return self.average_test
        return self.tests[self.experiment.outcomes.index(self.best_run)]

    @property
    def warnings(self) -> list[str]:
        after_training = [finding.message for finding in self.training_findings]
        return [*self.prepared.warnings, *self.experiment.warnings, *after_training]

    @property
    def training_findings(self) -> list[Finding]:
        """Findings that only training can make; the checks before it saw other settings, or only a
        sample of the rows.
        """
        known = {finding.message for finding in self.prepared.findings}
        chosen = unusual_learning_rate(self.best_run.spec)
        findings = [*self._unmatched_texts(), *chosen, *self._cut_rows()]
        return [finding for finding in findings if finding.message not in known]

    def _unmatched_texts(self) -> list[Finding]:
        """A low loss, but no text generated as expected."""
        lowest = min(epoch.loss for epoch in self.best_run.state.epochs)
        metrics = self.best_run.dev_metrics or self.test.metrics
        if metrics.get("exact_match") != 0 or lowest > _LOW_LOSS:
            return []
        num_rows = len(self.best_run.run_config.dev) or len(self.test_rows)
        return [
            Finding(
                code="unmatched_texts",
                severity=Severity.WARNING,
                message=f"The training loss fell to {lowest:.3f} per token, but none of the "
                f"{num_rows} texts generated to evaluate the published epoch equals the expected "
                "text (exact_match 0). Compare the expected and generated texts in the report: the "
                "adapter may have memorized the training rows, or the base's chat template may "
                "insert text between prompt and answer.",
                count=num_rows,
                facts={"loss": lowest, "exact_match": 0.0},
            )
        ]

    def _cut_rows(self) -> list[Finding]:
        run_config = self.best_run.run_config
        rows = [*run_config.train, *run_config.dev, *self.test_rows]
        num_cut = sum(row.truncated for row in rows)
        if not num_cut or any(finding.code == "truncated" for finding in self.prepared.findings):
            return []
        return [
            Finding(
                code="truncated",
                severity=Severity.WARNING,
                message=f"{num_cut} of {count_of(len(rows), 'row')} exceeded the limit of tokens "
                f"and {'was' if num_cut == 1 else 'were'} cut.",
                count=num_cut,
            )
        ]

    def result(self) -> JobResult:
        """The job's result before its report."""
        run, findings = self.best_run, (*self.prepared.findings, *self.training_findings)
        steps_per_epoch = run.run_config.steps_per_epoch
        return JobResult(
            kind=run.spec.kind,
            dev_metrics=run.dev_metrics,
            test_metrics=self.test.metrics,
            trainable_parameters=run.opened.num_trainable,
            rows=self.prepared.split.sizes,
            epochs=[
                {**asdict(epoch), "step": steps_per_epoch * epoch.number}
                for epoch in run.state.epochs
            ],
            warnings=self.warnings,
            findings=[finding.to_json() for finding in findings],
            training=TrainingResult(
                seeds=seeds_report(
                    self.experiment.outcomes,
                    self.tests,
                    averaged=self.experiment.average is not None,
                ),
                search=self.experiment.search,
                trained_tokens=self._trained_tokens,
                learning_rate=run.run_config.learning_rate,
            ),
        )

    @property
    def _trained_tokens(self) -> int:
        return sum(
            num_tokens(run.run_config.train) * len(run.state.epochs)
            for run in self.experiment.outcomes
        )
