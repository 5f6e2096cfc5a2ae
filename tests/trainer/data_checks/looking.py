"""A file as the doctor sees it, without a server and without an engine."""

from __future__ import annotations

from typing import Any

from engine.text.tokenizer import Tokenizer
from tests.trainer.build import jsonl
from trainer.data_checks.finding import Finding
from trainer.data_checks.subject import Likeness
from trainer.jobs.values import JobSpec, TrainingSettings
from trainer.pipeline.prepare import Examination, Source, examine

Rows = list[dict[str, Any]]


def look(
    rows: Rows | bytes,
    filename: str = "rows.jsonl",
    *,
    dev: Rows | None = None,
    test: Rows | None = None,
    tokenizer: Tokenizer | None = None,
    likeness: Likeness | None = None,
    **given: Any,
) -> Examination:
    settings = TrainingSettings.parse(given.pop("settings", {}))
    spec = JobSpec(tenant="t", task="t", file_id="f", settings=settings, **given)
    files = {"train": _source(filename, rows if isinstance(rows, bytes) else jsonl(rows))}
    judging = {part: rows for part, rows in (("dev", dev), ("test", test)) if rows}
    files |= {part: _source(f"{part}.jsonl", jsonl(given)) for part, given in judging.items()}
    return examine(files, spec, tokenizer, likeness)


def finding(code: str, *rows: Any, **given: Any) -> Finding:
    """The one finding of that code."""
    (found,) = [each for each in look(*rows, **given).findings if each.code == code]
    return found


def codes(*rows: Any, **given: Any) -> set[str]:
    return {each.code for each in look(*rows, **given).findings}


def moods(num: int = 80) -> Rows:
    """Clean rows of two classes, each text unlike the others."""
    words = {"glad": "lovely", "sad": "dreadful"}
    labels = ["glad", "sad"] * (num // 2)
    return [
        {"text": f"{words[label]} a{i} b{i} c{i} d{i}", "label": label}
        for i, label in enumerate(labels)
    ]


def _source(filename: str, content: bytes) -> Source:
    return Source(filename=filename, read=lambda: content)
