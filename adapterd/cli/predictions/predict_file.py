"""Predicts the rows of a file or of stdin for `adapterd predict`: input and output files, format,
progress, and what is said at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from adapterd.batch.answer_writer import (
    AnswerWriter,
    CsvWriter,
    JsonLinesWriter,
    JsonWriter,
    to_cell,
)
from adapterd.batch.file_prediction import FileRun, predict_rows, skip_written
from adapterd.batch.input_row import InputColumns, InputRow
from adapterd.batch.partial_file import PartialFile, Written
from adapterd.batch.row_source import RowSource
from adapterd.errors import AdapterdError, BadSetting, Refused
from adapterd.values import Output, Prediction
from adapterd.wire.local_file import path_problem

if TYPE_CHECKING:
    from adapterd.calls.call_options import PredictOptions
    from adapterd.client.client import Client

FORMATS = ("csv", "tsv", "jsonl", "table")
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_MAX_TABLE_ROWS = 50
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """What the command says of its files."""

    #: None is stdin
    source: Path | None
    columns: InputColumns
    #: None is stdout
    output: Path | None = None
    format: str | None = None
    as_json: bool = False
    resume: bool = False
    prefix: str = "predicted_"
    #: what goes with each text
    pair: str | None = None
    question: str | None = None

    def build_input(self, text: Any) -> Any:
        """A text with the second text or the question of the command."""
        if not isinstance(text, str):
            return text
        if self.question is not None:
            return {"question": self.question, "context": text}
        return text if self.pair is None else (text, self.pair)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What is to be answered, and how."""

    client: Client
    source: RowSource
    files: FileOptions
    format: str
    options: PredictOptions


class TableWriter:
    """The first rows as a table, and how many others there are."""

    def __init__(self, first: Callable[[], Prediction | None]) -> None:
        self._first = first
        self._texts, self._outputs = list[str](), list[Output]()
        self._num_rows = 0

    def write(self, row: InputRow, output: Output, by: str) -> None:
        del by
        self._num_rows += 1
        if len(self._outputs) < _MAX_TABLE_ROWS:
            self._texts.append(", ".join(to_cell(value) for value in row.fields.values()))
            self._outputs.append(output)

    def finish(self) -> None:
        from adapterd.terminal import render

        first = self._first()
        if first is None:
            return
        shown = replace(first, outputs=tuple(self._outputs))
        render.print_prediction(shown, self._texts)
        if more := self._num_rows - len(self._outputs):
            render.print_line(f"{more:,} more rows; --output FILE or --format csv gives all.")


def predict_file(client: Client, ref: str, files: FileOptions, options: PredictOptions) -> None:
    """Raises RowFailed at the end if a row has no answer; the others are written."""
    with open_source(files) as source:
        work = _Work(
            client=client,
            source=source,
            files=files,
            format=_choose_format(files, source),
            # the calls of people come before those of files
            options={"priority": "batch", **options},
        )
        run = _answer_to_file(work, ref, files.output) if files.output else FileRun()
        if not files.output:
            _answer(work, ref, sys.stdout, run, Written())
    where = f" and written to {files.output}" if files.output else ""
    if files.output and files.as_json:
        _print_summary(run, files.output)
    run.raise_for_errors(where)
    if (files.output and not files.as_json) or sys.stderr.isatty():
        sys.stderr.write(f"{run.describe()}{where}.\n")


def _print_summary(run: FileRun, output: Path) -> None:
    from adapterd.terminal import render

    facts = {"output": str(output), "rows": run.rows, "failed": run.failed, "by": run.by or None}
    render.print_json(facts)


@contextmanager
def open_source(files: FileOptions) -> Iterator[RowSource]:
    """Raises BadSetting for what cannot be opened, and Refused for what holds no rows."""
    path = files.source
    if path is None:
        if sys.stdin.isatty():
            sys.stderr.write("Reading texts from the terminal, one a line; Ctrl-D ends them.\n")
        yield RowSource(sys.stdin.buffer, "stdin", files.columns)
        return
    is_stream = path.is_fifo() or path.is_char_device()
    if not is_stream and (problem := path_problem(path)):
        raise BadSetting(problem)
    if not is_stream and not path.stat().st_size:
        raise Refused(f"{path.name} is empty; pass a file of texts, JSON Lines or CSV.")
    try:
        stream: BinaryIO = path.open("rb")
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}.") from error
    with stream:
        yield RowSource(stream, path.name, files.columns)


def _answer_to_file(work: _Work, ref: str, path: Path) -> FileRun:
    partial = PartialFile(path, resume=work.files.resume)
    written = partial.scan(work.format, _DELIMITERS.get(work.format, ""), work.files.prefix)
    run = FileRun(written)
    try:
        with partial as stream:
            _answer(work, _continue(ref, written), stream, run, written)
    except (AdapterdError, KeyboardInterrupt):
        if partial.partial.exists():
            sys.stderr.write(
                f"adapterd: {run.describe()} and written to {partial.partial}; pass --resume to "
                "go on.\n"
            )
        raise
    return run


def _continue(ref: str, written: Written) -> str:
    """The version that answered the rows of an interrupted run. Raises BadSetting if REF is not
    it.
    """
    if not written.by:
        return ref
    task, _, version = written.by.partition("@")
    wish, _, wish_version = ref.partition("@")
    if wish != task or (wish_version.isdigit() and wish_version != version):
        raise BadSetting(
            f"The partial file was written by {written.by}, and REF is {ref}; pass {written.by}, "
            "or delete the partial file."
        )
    return written.by


def _answer(work: _Work, ref: str, stream: TextIO, run: FileRun, written: Written) -> None:
    from adapterd.client.batch_predictor import BatchPredictor
    from adapterd.terminal.row_progress import row_progress

    def send(ref: str, inputs: Any, options: PredictOptions) -> Prediction:
        return work.client.predict(ref, inputs, **options)

    predictor = BatchPredictor(send, ref, work.options)
    writer = _make_writer(work, stream, lambda: predictor.first, written)
    rows, source = _read_rows(work), work.source
    skip_written(rows, written)
    path = work.files.source
    size = path.stat().st_size if path is not None and path.is_file() else None
    # answers that appear in the same terminal show the progress themselves
    is_apart = work.files.output is not None or work.format == "table" or not sys.stdout.isatty()
    is_shown = sys.stderr.isatty() and is_apart
    with row_progress(source.name, size, is_shown=is_shown, rows=lambda: run.rows) as advance:
        try:
            predict_rows(run, predictor, rows, writer, _byte_progress(source, advance))
        except BaseException:
            if run.rows:  # an error before the first row leaves nothing on stdout
                writer.finish()
            raise
        writer.finish()
    if isinstance(writer, CsvWriter) and writer.left_out:
        _warn_of_fields(sorted(writer.left_out))


def _warn_of_fields(names: list[str]) -> None:
    sys.stderr.write(
        f"adapterd: warning: the output has no column for {', '.join(names)}, because the rows "
        "before the first answer lack it; JSON Lines (--format jsonl) keep every field.\n"
    )


def _read_rows(work: _Work) -> Iterator[InputRow]:
    for row in work.source.read():
        yield row if row.problem else replace(row, value=work.files.build_input(row.value))


def _make_writer(
    work: _Work, stream: TextIO, first: Callable[[], Prediction | None], written: Written
) -> AnswerWriter:
    prefix = work.files.prefix
    if work.format == "table":
        return TableWriter(first)
    if work.format == "json":
        return JsonWriter(stream, first)
    if work.format == "jsonl":
        return JsonLinesWriter(stream, prefix)
    return CsvWriter(stream, prefix, _DELIMITERS[work.format], written.columns)


def _byte_progress(source: RowSource, advance: Callable[[float], None]) -> Callable[[], None]:
    """Reports how much of the input has been read since the last row."""
    position = 0

    def report() -> None:
        nonlocal position
        advance(source.bytes_read - position)
        position = source.bytes_read

    return report


def _choose_format(files: FileOptions, source: RowSource) -> str:
    """That of the option, of the output's suffix, of the terminal, or of the input."""
    if files.format is not None and files.format not in FORMATS:
        raise BadSetting(f"--format is {files.format!r}; it must be one of {', '.join(FORMATS)}.")
    if files.output is not None:
        chosen = files.format or _SUFFIXES.get(files.output.suffix.lower())
        if chosen in (None, "table"):
            raise BadSetting(
                f"--output is {files.output.name}; its name must end with "
                f"{', '.join(_SUFFIXES)}, or pass --format csv, tsv or jsonl."
            )
        return str(chosen)
    if files.as_json:
        return "json"
    if files.format is None and sys.stdout.isatty():
        return "table"
    return files.format or ("jsonl" if source.content.format in ("json", "jsonl") else "csv")
