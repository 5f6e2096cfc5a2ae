"""The file of answers while it is written: a partial file beside its final name, which replaces the
final one when it is complete, and can be continued when it is not. Knows no call.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

from adapterd.batch.content import MAX_CELL_BYTES
from adapterd.errors import BadSetting, Refused
from adapterd.values.columns import error_column, version_column

SUFFIX = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The rows that a partial file holds already."""

    rows: int = 0
    failed: int = 0
    #: the version that answered them
    by: str = ""
    #: the cells or fields of the last of them
    last: Mapping[str, Any] | None = None
    #: of CSV
    columns: list[str] | None = None
    #: where the last complete row ends
    num_bytes: int = 0


class PartialFile:
    """Opens `PATH.partial`; leaving the block without an error renames it to the path."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """Raises BadSetting where an earlier run would be lost, or there is none to resume."""
        self.path, self.partial = path, path.with_name(path.name + SUFFIX)
        self._resume = resume
        exists = self.partial.exists()
        if exists and not resume:
            raise BadSetting(
                f"{self.partial} holds the rows of an interrupted run; pass --resume to go on "
                "with it, or delete it."
            )
        if resume and not exists:
            raise BadSetting(f"{self.partial} is not there, so there is nothing to resume.")
        if path.is_dir():
            raise BadSetting(f"{path} is a folder; pass the name of a file in it.")

    def scan(self, format_name: str, delimiter: str, prefix: str) -> Written:
        """What an interrupted run has written; a row that was cut off is dropped."""
        if not self._resume:
            return Written()
        with self.partial.open("r+b") as stream:
            if format_name == "jsonl":
                written = _scan_json_lines(stream, prefix)
            else:
                written = _scan_table(stream, delimiter, prefix)
            stream.truncate(written.num_bytes)
        return written

    def __enter__(self) -> TextIO:
        try:
            self._stream = self.partial.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise self._not_written(error) from error
        return self._stream

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._close(is_complete=kind is None)
        except OSError as failed:
            raise self._not_written(failed) from failed
        if isinstance(error, OSError):
            raise self._not_written(error) from error

    def _close(self, *, is_complete: bool) -> None:
        with self._stream as stream:
            stream.flush()
            if is_complete:
                os.fsync(stream.fileno())
        if is_complete:
            self.partial.replace(self.path)
        elif not self.partial.stat().st_size:
            self.partial.unlink()

    def _not_written(self, error: OSError) -> BadSetting:
        return BadSetting(f"{self.path} cannot be written: {error.strerror or error}.")


def _scan_json_lines(stream: BinaryIO, prefix: str) -> Written:
    rows = failed = num_bytes = 0
    by, last = "", None
    for line in stream:
        if not line.endswith(b"\n"):
            break
        last = _read_row(line)
        _check_written(last, prefix)
        rows, num_bytes = rows + 1, num_bytes + len(line)
        failed += "error" in last.get(f"{prefix}output", {})
        by = last.get(version_column(prefix)) or by
    return Written(rows=rows, failed=failed, by=by, last=last, num_bytes=num_bytes)


def _read_row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise Refused("The partial file has a line that this command did not write; delete it.")
    return row


def _scan_table(stream: BinaryIO, delimiter: str, prefix: str) -> Written:
    csv.field_size_limit(MAX_CELL_BYTES)
    lines = _Lines(stream)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns, last, by = None, None, ""
    rows = failed = num_bytes = 0
    try:
        for cells in reader:
            if not lines.is_whole or (columns and len(cells) != len(columns)):
                break
            num_bytes = lines.num_bytes
            if columns is None:
                columns = cells
                _check_written(columns, prefix)
                continue
            last = dict(zip(columns, cells, strict=True))
            rows += 1
            failed += bool(last.get(error_column(prefix)))
            by = last.get(version_column(prefix)) or by
    except csv.Error:
        pass  # the last row was cut off inside of its quotes
    if failed == rows:
        return Written()  # no row shows the columns of an answer, so the rows are asked again
    return Written(rows=rows, failed=failed, by=by, last=last, columns=columns, num_bytes=num_bytes)


def _check_written(names: Collection[str], prefix: str) -> None:
    """Raises Refused if the rows of this run would get other columns than those written already."""
    if (by := version_column(prefix)) not in names:
        raise Refused(
            f"The partial file has no column {by!r}, so the interrupted run had another "
            "--prefix or --format; pass its options, or delete the partial file."
        )


class _Lines:
    """The lines of a file as text, and how many bytes they had."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.num_bytes = 0
        self.is_whole = True

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.num_bytes += len(line)
            self.is_whole = line.endswith(b"\n")
            yield line.decode("utf-8", "replace")
