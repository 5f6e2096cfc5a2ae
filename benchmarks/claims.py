"""What quality is measured on: tasks on real rows, and the budget each way of training gets.

Knows no way of training.
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
from trainer.settings.settings import TrainingSettings

#: 80/10/10: dev is a share of what test leaves
_SPLIT = {"test_share": 0.1, "dev_share": 1 / 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One head on one file, the metric that counts, and what training may spend."""

    file: str
    head: str
    metric: str
    #: the rows as the trainer takes them, of the file's own
    rows: Callable[[bytes], bytes] = bytes
    columns: dict[str, str] = field(default_factory=dict)
    #: of adapters, whoever trains them
    settings: dict[str, Any]
    full_epochs: int

    def spec(self, files: FileStore, data: Path, seed: int, **given: Any) -> JobSpec:
        content = self.rows((data / self.file).read_bytes())
        file = files.put("default", self.file, "fine-tune", [content], 2**30)
        once = {"patience": self.settings["epochs"], "seed": seed, "seeds": 1}
        settings = TrainingSettings.parse({**_SPLIT, **once, **self.settings, **given})
        return JobSpec(
            tenant="default", task="quality", file_id=file.id, head=self.head, pooling="native",
            settings=settings, **self.columns,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A task's rows as every way of training gets them."""

    split: Split
    labels: list[str]

    @classmethod
    def of(cls, files: FileStore, spec: JobSpec) -> Rows:
        prepared = prepare(files, spec)
        return cls(split=prepared.split, labels=prepared.labels)

    @property
    def digest(self) -> str:
        """Runs are only compared where this is the same."""
        parts = (self.split.train, self.split.dev, self.split.test)
        texts = [[(row.text, row.label) for row in part] for part in parts]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]


def _clear(content: bytes, most: int | None = None) -> bytes:
    """Scored rows where they are clear, |score| > 0.3, labelled by sign; `most` of them, drawn."""
    rows = [json.loads(line) for line in content.splitlines()]
    lines = [
        {"text": row["text"], "label": "positive" if row["score"] > 0 else "negative"}
        for row in rows
        if abs(row["score"]) > 0.3
    ]
    if most is not None:
        lines = random.Random(0).sample(lines, most)
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _two_thousand(content: bytes) -> bytes:
    return _clear(content, 2000)


CLAIMS = {
    "tweets, entities": Claim(
        file="tweets_ner.conll", head="tag", metric="f1", full_epochs=5,
        settings={"epochs": 8, "layers": 3, "rank": 16, "alpha": 32},
    ),
    "tweets, score": Claim(
        file="tweets.jsonl", head="regress", metric="pearson", full_epochs=3,
        columns={"label_column": "score"},
        # the upper half alone stays two points below full fine-tuning here
        settings={"epochs": 3, "layers": 6, "rank": 16, "alpha": 32},
    ),
    "tweets, sentiment": Claim(
        file="tweets.jsonl", head="classify", metric="accuracy", full_epochs=3, rows=_clear,
        settings={"epochs": 3},
    ),
    "movie reviews, sentiment": Claim(
        file="movie_reviews.jsonl", head="classify", metric="accuracy", full_epochs=3,
        rows=_two_thousand, settings={"epochs": 3},
    ),
}  # fmt: skip
