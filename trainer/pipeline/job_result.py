"""What a run found, as the report its owner reads. Computes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from trainer.data_checks.finding import Finding, Severity
from trainer.evaluation.evaluate import Evaluation
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.pipeline.prepare import Prepared
from trainer.settings.schedule import learning_rate_warning
from trainer.training.cost_model import num_tokens
from trainer.training.experiment import ExperimentResult
from trainer.training.run_result import RunResult

#: a mean loss per token with which nearly every token is written as it was learned
_NEARLY_NOTHING = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFindings:
    """What training and judging came to, on the way to the report and the version."""

    prepared: Prepared
    #: as it will be served: with its temperature
    head: dict[str, Any]
    rows: list[EncodedRow]
    practised: ExperimentResult
    test: Evaluation
    seeds: dict[str, Any]

    @property
    def kept(self) -> RunResult:
        """The run that is published."""
        return self.practised.kept

    @property
    def warnings(self) -> list[str]:
        course = self.kept.course
        rows = [*course.train, *course.dev, *self.rows]
        num_cut = sum(row.truncated for row in rows)
        cut = f"{num_cut} of {len(rows)} rows are longer than the limit and were cut."
        rate = learning_rate_warning(self.kept.spec.kind, course.learning_rate)
        told = [each.message for each in self.afterwards]
        found = [*self.prepared.warnings, *self.practised.warnings, *told, rate]
        if num_cut:
            found.append(cut)
        return [warning for warning in found if warning]

    @property
    def afterwards(self) -> list[Finding]:
        """What only training could tell: text that is learned, and yet never written so."""
        lowest = min(epoch.loss for epoch in self.kept.state.epochs)
        judged = self.kept.kept.dev or self.test.metrics
        if judged.get("exact_match") != 0 or lowest > _NEARLY_NOTHING:
            return []
        return [
            Finding(
                code="unmatched_texts",
                severity=Severity.WARNING,
                message=f"The training loss fell to {lowest:.3f} per token, and yet not one of the "
                f"{len(self.kept.course.dev) or len(self.rows)} texts written to judge the epoch "
                "that is published is the wanted one (exact_match 0). Compare the wanted and "
                "written texts in the report: the rows may have been learned by heart, or the "
                "base's chat template may put something between a prompt and its answer.",
                count=len(self.kept.course.dev) or len(self.rows),
                facts={"loss": lowest, "exact_match": 0.0},
            )
        ]

    @property
    def _trained_tokens(self) -> int:
        """Of all seeds and epochs; a search counts its own steps."""
        return sum(
            num_tokens(outcome.course.train) * len(outcome.state.epochs)
            for outcome in self.practised.outcomes
        )

    @property
    def _epochs(self) -> list[dict[str, Any]]:
        """Of the kept run; `step`: how many steps were done at the epoch's end."""
        each = self.kept.course.steps_per_epoch
        epochs = self.kept.state.epochs
        return [{**asdict(epoch), "step": each * epoch.number} for epoch in epochs]

    def report(self) -> dict[str, Any]:
        return {
            "metrics": {"dev": self.kept.kept.dev, "test": self.test.metrics},
            "seeds": self.seeds,
            "search": self.practised.search,
            "trained_tokens": self._trained_tokens,
            "trainable_parameters": self.kept.opened.num_trainable,
            "rows": self.prepared.split.sizes,
            "epochs": self._epochs,
            "kind": self.kept.spec.kind,
            "learning_rate": self.kept.course.learning_rate,
            "warnings": self.warnings,
            "findings": [
                finding.to_json() for finding in (*self.prepared.findings, *self.afterwards)
            ],
        }


def comparison_warnings(head: str, report: dict[str, Any]) -> list[str]:
    """Where training was not worth it: nothing learned, or no more than counting words does."""
    data, test = HEAD_DATA[head], report["metrics"]["test"]
    metric = next(name for name in data.metrics if name in test)
    baseline, reached = report["baseline"], test[metric]
    rivals = {
        "majority": "always predicting the majority class",
        "test": f"the baseline {baseline.get('name')}",
        "copy": "copying the input",
        "ridge": "ridge regression",
    }
    known = {key: baseline[key].get(metric) for key in rivals if key in baseline}
    found = [(rivals[key], value) for key, value in known.items() if value is not None]
    return [
        f"The test {metric} of {reached:.3f} is no better than the {value:.3f} of {words}."
        for words, value in found
        if reached is not None and (reached <= value if data.more_is_better else reached >= value)
    ]
