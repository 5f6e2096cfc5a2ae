"""Values as tables for people or as JSON for scripts. Owns the two output streams' formats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from adapterd.errors import RowFailed
from adapterd.terminal.progress import duration
from adapterd.values import (
    Classification,
    Completion,
    CompletionChunk,
    Embedding,
    Estimate,
    Job,
    JobEvent,
    Output,
    Prediction,
    Relevance,
    RowError,
    Span,
    Tags,
    Task,
    Value,
    Version,
)

MAX_TEXT_CHARS = 60


def print_json(value: Any) -> None:
    """One line per value, so that a stream of them can be read line by line."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    Console().print(table)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    print_table(title, ("", ""), [(name, fact) for name, fact in facts.items() if fact is not None])


def print_line(text: str) -> None:
    Console().print(text, highlight=False)


# ---------------------------------------------------------------- one function per value


def print_prediction(prediction: Prediction, texts: Sequence[str]) -> None:
    rows = [
        (_cropped(text), *_answer(output))
        for text, output in zip(texts, prediction.outputs, strict=True)
    ]
    title = f"{prediction.task}@{prediction.version}  {short(prediction.digest)}"
    title += f"  {prediction.timing.total_ms:.1f} ms"
    print_table(title, ("text", "answer", "score"), rows)


def print_pieces(pieces: Iterable[CompletionChunk], *, as_json: bool) -> None:
    """As they come. Raises RowFailed for an input that has no text, or no more of it."""
    for piece in pieces:
        if as_json:
            print_json(piece)
        else:
            sys.stdout.write(piece.text + ("\n" if piece.finish_reason else ""))
            sys.stdout.flush()
        if piece.error is not None:
            raise RowFailed(f"input {piece.input}: {piece.error.message}", problem=piece.error.code)


def print_tasks(tasks: Sequence[Task]) -> None:
    rows = [
        (t.task, t.head, t.latest_version, _pairs(t.aliases), moment(t.created_at)) for t in tasks
    ]
    print_table(f"{len(tasks)} tasks", ("task", "head", "latest", "aliases", "created"), rows)


def print_versions(versions: Sequence[Version]) -> None:
    columns = ("version", "digest", "kind", "head", "aliases", "parameters", "source", "created")
    rows = [
        (
            f"{v.task}@{v.version}",
            short(v.digest),
            v.kind,
            v.head,
            ", ".join(v.aliases),
            f"{v.num_parameters:,}",
            v.source,
            moment(v.created_at),
        )
        for v in versions
    ]
    print_table(f"{len(versions)} versions", columns, rows)


def print_version(version: Version) -> None:
    facts = asdict(version) | {
        "labels": ", ".join(version.labels),
        "aliases": ", ".join(version.aliases),
        "left_out": ", ".join(version.left_out) or None,
        "warnings": "\n".join(version.warnings) or None,
        "created_at": moment(version.created_at),
        "lineage": json.dumps(version.lineage, ensure_ascii=False) if version.lineage else None,
    }
    print_facts(f"{version.task}@{version.version}", facts)


def print_jobs(jobs: Sequence[Job]) -> None:
    columns = ("job", "task", "status", "phase", "done", "version", "created")
    rows = [
        (j.id, j.task, j.status, j.phase, f"{j.progress:.0%}", j.version, moment(j.created_at))
        for j in jobs
    ]
    print_table(f"{len(jobs)} jobs", columns, rows)


def print_job(job: Job) -> None:
    facts = asdict(job) | {
        "progress": f"{job.progress:.0%}",
        "created_at": moment(job.created_at),
        "finished_at": moment(job.finished_at) if job.finished_at else None,
        "result": json.dumps(job.result, ensure_ascii=False) if job.result else None,
    }
    print_facts(job.id, facts)


def print_event(event: JobEvent) -> None:
    facts = f"  {json.dumps(event.data, ensure_ascii=False)}" if event.data else ""
    line = f"{event.number:>4}  {moment(event.created_at)}  {event.level:<5}  {event.code}  "
    sys.stdout.write(f"{line}{event.message}{facts}\n")
    sys.stdout.flush()


def print_estimate(task: str, found: Estimate) -> None:
    rows = [f"{found.rows.get(name, 0):,} {name}" for name in ("train", "dev", "test")]
    facts = {
        "rows": ", ".join(rows),
        "steps": f"{found.steps:,} of all runs, if none stops early",
        "tokens": f"{found.tokens:,}",
        "time": f"{duration(found.seconds)} ({found.basis})",
        "trained parameters": f"{found.trainable_parameters:,}",
        "memory of a slot": megabytes(found.slot_bytes),
        "memory of the optimizer": megabytes(found.optimizer_bytes),
        "memory of kept activations": megabytes(found.cache_bytes),
        "warnings": "\n".join(found.warnings) or None,
    }
    print_facts(f"{task}: nothing is queued", facts)


# ---------------------------------------------------------------- cells


def megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _answer(output: Output) -> tuple[str, str]:
    match output:
        case Classification(label=label, score=score, labels=labels):
            return ", ".join(labels) or label, f"{score:.3f}"
        case Tags(entities=entities):
            return ", ".join(f"{e.label}={e.text}" for e in entities) or "no entities", ""
        case Value(value=value):
            return f"{value:+.3f}", ""
        case Span(text=text, score=score):
            return text or "no answer", f"{score:.3f}"
        case Embedding(embedding=numbers):
            shown = ", ".join(f"{number:.3f}" for number in numbers[:3])
            return f"{shown}, … ({len(numbers)} numbers)", ""
        case Relevance(score=score):
            return "", f"{score:.3f}"
        case Completion(text=text, finish_reason=reason):
            return text, reason
        case RowError(code=code, message=message):
            return f"{code}: {message}", ""


def _cropped(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"


def _pairs(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{name} → {version}" for name, version in sorted(aliases.items()))
