"""Writes rows with their answers as CSV, JSON Lines or one JSON document. Knows no file name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TextIO

from adapterd.batch.input_row import InputRow
from adapterd.batch.line_feeds import LineFeeds
from adapterd.errors import Refused
from adapterd.values import Output, Prediction, RowError
from adapterd.values.columns import error_column, to_columns, version_column


class AnswerWriter(Protocol):
    """Takes the answers in the order of the rows."""

    def write(self, row: InputRow, output: Output, by: str) -> None:
        """`by` is the version that answered; empty for a row that was not sent."""
        ...

    def finish(self) -> None: ...


def with_id(row: InputRow) -> dict[str, Any]:
    """The fields of a row; one without an `id` is identified by its number."""
    return dict(row.fields) if "id" in row.fields else {"id": row.number, **row.fields}


def to_cell(value: Any) -> str:
    """Lists and objects are JSON; a missing value is an empty cell."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class JsonLinesWriter:
    """One object a row: its fields, the answer in the shape of HTTP, and the version."""

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix = stream, prefix

    def write(self, row: InputRow, output: Output, by: str) -> None:
        answer = {f"{self._prefix}output": output.to_dict(), version_column(self._prefix): by}
        refuse_taken_names(answer, row.fields)
        line = json.dumps({**with_id(row), **answer}, ensure_ascii=False)
        self._stream.write(line + "\n")

    def finish(self) -> None:
        self._stream.flush()


class CsvWriter:
    """The columns of the input, then those of the answer, which the first answer decides."""

    def __init__(
        self, stream: TextIO, prefix: str, delimiter: str, columns: Sequence[str] | None = None
    ) -> None:
        """`columns` are those of a file that is continued."""
        self._writer = csv.writer(LineFeeds(stream), delimiter=delimiter)
        self._stream, self._prefix = stream, prefix
        self._columns = columns
        self._waiting: list[dict[str, Any]] = []
        #: fields of later rows that have no column
        self.left_out: set[str] = set()

    def write(self, row: InputRow, output: Output, by: str) -> None:
        answer = {**to_columns(output, self._prefix), version_column(self._prefix): by}
        if self._columns is not None:
            self._write_cells({**with_id(row), **answer})
            return
        refuse_taken_names(answer, row.fields)
        self._waiting.append({**with_id(row), **answer})
        if not isinstance(output, RowError):
            self._write_header()

    def finish(self) -> None:
        if self._columns is None and self._waiting:
            self._write_header()
        self._stream.flush()

    def _write_header(self) -> None:
        last = [error_column(self._prefix), version_column(self._prefix)]
        names = dict.fromkeys(name for cells in self._waiting for name in cells if name not in last)
        self._columns = [*names, *last]
        self._writer.writerow(self._columns)
        for cells in self._waiting:
            self._write_cells(cells)
        self._waiting = []

    def _write_cells(self, cells: Mapping[str, Any]) -> None:
        assert self._columns is not None, "the header is written first"
        self.left_out.update(cells.keys() - set(self._columns))
        self._writer.writerow([to_cell(cells.get(name)) for name in self._columns])


class JsonWriter:
    """One document in the shape of HTTP's answer, written as the answers come."""

    def __init__(self, stream: TextIO, first: Callable[[], Prediction | None]) -> None:
        """`first` is the first answer, once there is one: its version is that of all."""
        self._stream, self._first = stream, first
        self._separator = '{"outputs": ['

    def write(self, row: InputRow, output: Output, by: str) -> None:
        del row, by
        self._stream.write(self._separator + json.dumps(output.to_dict(), ensure_ascii=False))
        self._separator = ", "

    def finish(self) -> None:
        first = self._first()
        named = {name: getattr(first, name) for name in ("task", "version", "digest") if first}
        end = f", {json.dumps(named)[1:-1]}" if named else ""
        start = self._separator if self._separator != ", " else ""
        self._stream.write(f"{start}]{end}}}\n")
        self._stream.flush()


def refuse_taken_names(answer: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    if taken := [name for name in answer if name in fields]:
        raise Refused(
            f"The input has a column {taken[0]!r} already; pass --prefix NAME_ for the names of "
            "the new columns."
        )
