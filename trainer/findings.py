"""What a run found, as the report its owner reads. Computes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.port import TrainingOpened
from trainer.encode import EncodedRow
from trainer.evaluate import Evaluation
from trainer.heads import HEAD_DATA
from trainer.loop import Course, Epoch
from trainer.prepare import Prepared
from trainer.schedule import learning_rate_warning


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What training and judging came to, on the way to the report and the version."""

    prepared: Prepared
    course: Course
    rows: list[EncodedRow]
    opened: TrainingOpened
    epochs: list[Epoch]
    test: Evaluation

    @property
    def dev_metrics(self) -> dict[str, Any]:
        """Of the epoch that was kept."""
        return next((epoch.dev for epoch in reversed(self.epochs) if epoch.best), {})

    @property
    def warnings(self) -> list[str]:
        rows = [*self.course.train, *self.course.dev, *self.rows]
        num_cut = sum(row.truncated for row in rows)
        cut = f"{num_cut} of {len(rows)} rows are longer than the limit and were cut."
        rate = learning_rate_warning(self.course.learning_rate)
        return [*self.prepared.warnings, *([rate] if rate else []), *([cut] if num_cut else [])]

    def report(self) -> dict[str, Any]:
        return {
            "metrics": {"dev": self.dev_metrics, "test": self.test.metrics},
            "trainable_parameters": self.opened.num_trainable,
            "rows": self.prepared.split.sizes,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "learning_rate": self.course.learning_rate,
            "warnings": self.warnings,
            "findings": [finding.to_json() for finding in self.prepared.findings],
        }


def comparison_warnings(head: str, report: dict[str, Any]) -> list[str]:
    """Where training was not worth it: nothing learned, or no more than counting words does."""
    data, test = HEAD_DATA[head], report["metrics"]["test"]
    metric = next(name for name in data.metrics if name in test)
    baseline, reached = report["baseline"], test[metric]
    rivals = {
        "majority": "answering alike every time",
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
