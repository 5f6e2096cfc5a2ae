"""Prints values as tables for people or as JSON for scripts. Owns both output formats."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from rich.text import Text

from adapterd.errors import RowFailed
from adapterd.terminal import table
from adapterd.terminal.progress import format_duration
from adapterd.terminal.table import Cell, format_bytes, format_time, id_cell, size_cell, time_cell
from adapterd.terminal.verdict import format_verdict
from adapterd.values import (
    Classification,
    Completion,
    CompletionChunk,
    Embedding,
    Estimate,
    File,
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
    """Prints the value as one line, so that a stream of values can be read line by line."""
    sys.stdout.write(json.dumps(to_plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def to_plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [to_plain(item) for item in value] if isinstance(value, list | tuple) else value


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    wrapped: Collection[str] = (),
) -> None:
    """In a pipe without its title; a narrow terminal breaks only cells of `wrapped` columns."""
    table.print_table(table.stdout_console(), title, columns, rows, wrapped)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    table.print_facts(table.stdout_console(), title, facts)


def print_line(text: str) -> None:
    table.stdout_console().print(text, highlight=False, markup=False)


def print_warning(sentence: str) -> None:
    table.stdout_console().print(Text.assemble((" ! ", "yellow"), sentence))


# ---------------------------------------------------------------- one function per type of value


def print_prediction(prediction: Prediction, texts: Sequence[str]) -> None:
    rows = [
        (Cell(shown=_crop(text), exact=text), *_format_answer(output))
        for text, output in zip(texts, prediction.outputs, strict=True)
    ]
    title = f"{prediction.task}@{prediction.version}  {shorten(prediction.digest)}"
    title += f"  {prediction.timing.total_ms:.1f} ms"
    is_written = any(isinstance(output, Completion) for output in prediction.outputs)
    columns = ("text", "answer", "finish reason" if is_written else "score")
    print_table(title, columns, rows, wrapped=("text", "answer"))


def print_chunks(chunks: Iterable[CompletionChunk], *, as_json: bool) -> None:
    """Prints chunks as they arrive. Raises RowFailed for an input that fails."""
    for chunk in chunks:
        if as_json:
            print_json(chunk)
        else:
            sys.stdout.write(chunk.text + ("\n" if chunk.finish_reason else ""))
            sys.stdout.flush()
        if chunk.error is not None:
            raise RowFailed(f"input {chunk.input}: {chunk.error.message}", problem=chunk.error.code)


def print_tasks(tasks: Sequence[Task]) -> None:
    rows = [
        (t.task, t.head, t.latest_version, _format_aliases(t.aliases), time_cell(t.created_at))
        for t in tasks
    ]
    print_table(count(len(tasks), "task"), ("task", "head", "latest", "aliases", "created"), rows)


def print_versions(versions: Sequence[Version]) -> None:
    columns = ("version", "kind", "aliases", "created", "parameters", "head", "source", "digest")
    rows = [
        (
            f"{v.task}@{v.version}",
            v.kind,
            ", ".join(v.aliases),
            time_cell(v.created_at),
            f"{v.num_parameters:,}",
            v.head,
            v.source,
            Cell(shown=shorten(v.digest), exact=v.digest),
        )
        for v in versions
    ]
    print_table(count(len(versions), "version"), columns, rows)


def print_version(version: Version) -> None:
    """The facts that fit on a screen; `--json` has all of them."""
    ref = f"{version.task}@{version.version}"
    facts = {
        "digest": Cell(shown=shorten(version.digest), exact=version.digest),
        "kind": version.kind,
        "head": version.head,
        "labels": _list_some(version.labels),
        "aliases": ", ".join(version.aliases) or "none",
        "parameters": f"{version.num_parameters:,} in {format_bytes(version.num_bytes)}",
        "created": f"{format_time(version.created_at)} by {version.source}",
        "job": id_cell(job) if (job := version.lineage.get("job")) else None,
        "verdict": format_verdict(version.lineage.get("report")),
        "left out": _list_some(version.left_out) or None,
        "warnings": "\n".join(version.warnings) or None,
        "more": f"adapterd adapters report {ref}, or show {ref} --json",
    }
    print_facts(ref, facts)


def print_jobs(jobs: Sequence[Job]) -> None:
    columns = ("job", "task", "status", "done", "created", "version", "phase")
    rows = [
        (
            id_cell(j.id),
            j.task,
            j.status,
            f"{j.progress:.0%}",
            time_cell(j.created_at),
            j.version,
            j.phase,
        )
        for j in jobs
    ]
    print_table(count(len(jobs), "job"), columns, rows)


def print_job(job: Job) -> None:
    """The facts that fit on a screen; `--json` has all of them."""
    short_id = id_cell(job.id).shown
    facts = {
        "task": job.task,
        "status": f"{job.status}, {job.phase}" if job.phase else job.status,
        "progress": f"{job.progress:.0%}",
        "time left": None if job.eta_s is None else format_duration(job.eta_s),
        "created": format_time(job.created_at),
        "finished": format_time(job.finished_at) if job.finished_at else None,
        "version": f"{job.task}@{job.version}" if job.version else None,
        "verdict": format_verdict(job.result.get("report")),
        "error": f"{job.error_message} [{job.error_code}]" if job.error_code else None,
        "metadata": ", ".join(f"{k}={v}" for k, v in job.metadata.items()) or None,
        "more": f"adapterd jobs events {short_id}, or show {short_id} --json",
    }
    print_facts(job.id, facts)


def print_files(files: Sequence[File]) -> None:
    columns = ("file", "name", "size", "created", "filename", "purpose")
    rows = [
        (id_cell(f.id), f.name, size_cell(f.bytes), time_cell(f.created_at), f.filename, f.purpose)
        for f in files
    ]
    print_table(count(len(files), "file"), columns, rows)


def print_file(file: File, refs: Sequence[str]) -> None:
    """`refs` are the versions that were trained on it."""
    facts = {
        "name": file.name,
        "filename": file.filename,
        "size": format_bytes(file.bytes),
        "sha256": Cell(shown=shorten(file.sha256), exact=file.sha256),
        "purpose": file.purpose,
        "created": format_time(file.created_at),
        "versions": ", ".join(refs) or "none",
    }
    print_facts(file.id, facts)


def print_event(event: JobEvent) -> None:
    facts = f"  {json.dumps(event.data, ensure_ascii=False)}" if event.data else ""
    line = f"{event.number:>4}  {format_time(event.created_at)}  {event.level:<5}  {event.code}  "
    sys.stdout.write(f"{line}{event.message}{facts}\n")
    sys.stdout.flush()


def print_estimate(task: str, estimate: Estimate) -> None:
    rows = [f"{estimate.rows.get(name, 0):,} {name}" for name in ("train", "dev", "test")]
    facts = {
        "rows": ", ".join(rows),
        "steps": f"{estimate.steps:,} in all runs, without early stopping",
        "tokens": f"{estimate.tokens:,}",
        "time": f"{format_duration(estimate.seconds)} ({estimate.basis})",
        "trained parameters": f"{estimate.trainable_parameters:,}",
        "adapter slot memory": format_bytes(estimate.slot_bytes),
        "optimizer memory": format_bytes(estimate.optimizer_bytes),
        "activation cache memory": format_bytes(estimate.cache_bytes),
    }
    print_facts(f"Dry run for {task} (nothing was queued)", facts)
    columns = ("preset", "time for these rows", "trains", "score in the benchmark")
    presets = [
        (
            f"{each.preset} (chosen)" if each.chosen else each.preset,
            format_duration(each.seconds),
            each.summary,
            each.measured,
        )
        for each in estimate.presets
    ]
    if presets:
        print_table("presets", columns, presets, ("trains", columns[-1]))


# ---------------------------------------------------------------- cells


def _list_some(names: Sequence[str]) -> str:
    """At most ten of them."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def count(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shorten(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _format_answer(output: Output) -> tuple[str, str]:
    match output:
        case Classification(multi_label=True, labels=labels, score=score):
            return ", ".join(labels) or "no label", f"{score:.3f}"
        case Classification(label=label, score=score):
            return label, f"{score:.3f}"
        case Tags(entities=entities):
            return ", ".join(f"{e.label}={e.text}" for e in entities) or "no entities", ""
        case Value(value=value):
            return f"{value:+.3f}", ""
        case Span(text=text, score=score):
            return text or "no answer", f"{score:.3f}"
        case Embedding(embedding=numbers):
            first = ", ".join(f"{number:.3f}" for number in numbers[:3])
            return f"{first}, … ({len(numbers)} dimensions)", ""
        case Relevance(score=score):
            return "", f"{score:.3f}"
        case Completion(text=text, finish_reason=reason):
            return text, reason
        case RowError(code=code, message=message):
            return f"{code}: {message}", ""


def _crop(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"


def _format_aliases(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{name} → {version}" for name, version in sorted(aliases.items()))
