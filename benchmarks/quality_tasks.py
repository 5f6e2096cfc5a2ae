"""The tasks of the quality benchmark: real rows, metrics and training budgets.

Knows no training method.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.dataset.split import Split
from trainer.jobs.file_store import FileStore
from trainer.jobs.values import JobSpec
from trainer.pipeline.prepare import prepare
from trainer.settings.settings import BY_ROWS, TrainingSettings

#: 80/10/10: dev is a share of what test leaves
_SPLIT = {"test_share": 0.1, "dev_share": 1 / 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTask:
    """A head, a data file, the metric to compare, and the training budget."""

    file: str
    head: str
    metric: str
    #: converts the file's content into the trainer's format
    rows: Callable[[bytes], bytes] = bytes
    columns: dict[str, str] = field(default_factory=dict)
    #: settings of every adapter training
    settings: dict[str, Any]
    full_epochs: int

    def spec(self, files: FileStore, data: Path, seed: int, **overrides: Any) -> JobSpec:
        content = self.rows((data / self.file).read_bytes())
        file = files.put("default", self.file, "fine-tune", [content], 2**30)
        once = {"patience": self.settings["epochs"], "seed": seed, "seeds": 1}
        settings = TrainingSettings.parse({**_SPLIT, **once, **self.settings, **overrides})
        return JobSpec(
            tenant="default", task="quality", file_id=file.id, head=self.head, pooling="native",
            settings=settings, chosen=BY_ROWS, **self.columns,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A task's rows, the same for every training method."""

    split: Split
    labels: list[str]

    @classmethod
    def from_spec(cls, files: FileStore, spec: JobSpec) -> Rows:
        prepared = prepare(files, spec)
        return cls(split=prepared.split, labels=prepared.labels)

    @property
    def digest(self) -> str:
        """Identifies the rows; only runs on the same rows are compared."""
        parts = (self.split.train, self.split.dev, self.split.test)
        texts = [[(row.text, row.label) for row in part] for part in parts]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]


def _select_clear(content: bytes, most: int | None = None) -> bytes:
    """Rows with |score| > 0.3, labelled by the sign; a random sample of `most` of them."""
    rows = [json.loads(line) for line in content.splitlines()]
    lines = [
        {"text": row["text"], "label": "positive" if row["score"] > 0 else "negative"}
        for row in rows
        if abs(row["score"]) > 0.3
    ]
    if most is not None:
        lines = random.Random(0).sample(lines, most)
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _sample_2000(content: bytes) -> bytes:
    return _select_clear(content, 2000)


TASKS = {
    "tweets, entities": QualityTask(
        file="tweets_ner.conll", head="tag", metric="f1", full_epochs=5,
        settings={"epochs": 8, "layers": 3, "rank": 16, "alpha": 32},
    ),
    "tweets, score": QualityTask(
        file="tweets.jsonl", head="regress", metric="pearson", full_epochs=3,
        columns={"label_column": "score"},
        # adapters in the upper half only stay two points below full fine-tuning here
        settings={"epochs": 3, "layers": 6, "rank": 16, "alpha": 32},
    ),
    "tweets, sentiment": QualityTask(
        file="tweets.jsonl", head="classify", metric="accuracy", full_epochs=3, rows=_select_clear,
        settings={"epochs": 3, "layers": 3},
    ),
    "movie reviews, sentiment": QualityTask(
        file="movie_reviews.jsonl", head="classify", metric="accuracy", full_epochs=3,
        rows=_sample_2000, settings={"epochs": 3, "layers": 3},
    ),
}  # fmt: skip
