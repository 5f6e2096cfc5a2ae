"""Reads the rows of a file or of stdin, one after the other. Knows no task and no answer."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

from adapterd.batch.content import HEAD_BYTES, MAX_CELL_BYTES, recognize
from adapterd.batch.input_row import InputColumns, InputRow, build_value
from adapterd.errors import Refused


class RowSource:
    """The rows of one file; at most one of them is held, except of a JSON array."""

    def __init__(self, stream: BinaryIO, name: str, columns: InputColumns) -> None:
        """Reads the beginning of the stream. Raises Refused."""
        self.name = name
        self._columns = columns
        self._input = _CountingInput(stream)
        self.content = recognize(self._input.head, name, columns)
        self._text = io.TextIOWrapper(
            io.BufferedReader(self._input),
            encoding=self.content.encoding,
            errors="surrogateescape",  # so that one bad row fails alone
            newline="" if self.content.format == "csv" else "\n",
        )

    @property
    def bytes_read(self) -> int:
        return self._input.bytes_read

    def read(self) -> Iterator[InputRow]:
        """Raises Refused where the file as a whole has no rows to send."""
        readers = {
            "texts": self._read_texts,
            "jsonl": self._read_json_lines,
            "json": self._read_array,
            "csv": self._read_table,
        }
        for number, row in enumerate(readers[self.content.format](), start=1):
            yield _check_encoding(row, number)

    def _read_texts(self) -> Iterator[InputRow]:
        for line, text in enumerate(self._text, start=1):
            text = text.rstrip("\r\n")
            yield InputRow(line=line, fields={"text": text}, value=text)

    def _read_json_lines(self) -> Iterator[InputRow]:
        is_first = True
        for line, text in enumerate(self._text, start=1):
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield InputRow(line=line, problem=f"it is not JSON: {error}")
            else:
                yield self._read_value(value, line, is_first=is_first)
            is_first = False

    def _read_array(self) -> Iterator[InputRow]:
        try:
            values = json.loads(self._text.read())
        except (ValueError, RecursionError) as error:
            raise Refused(f"{self.name} begins like a JSON array, and is none: {error}.") from None
        for number, value in enumerate(values, start=1):
            yield self._read_value(value, number, is_first=number == 1)

    def _read_value(self, value: Any, line: int, *, is_first: bool) -> InputRow:
        """A row of JSON: an object with the fields of an input, a text, or a list of turns."""
        if isinstance(value, str):
            return InputRow(line=line, fields={"text": value}, value=value)
        if isinstance(value, list):
            return InputRow(line=line, fields={"messages": value}, value=value)
        if not isinstance(value, Mapping):
            return InputRow(line=line, problem="it is neither an object nor a text")
        names = [name for name, part in value.items() if part is not None]
        columns = self._columns.match(names)
        if columns is None and is_first:
            columns = self._columns.require(names, f"{self.name}, line {line},")
        if columns is None:
            has = ", ".join(names) or "nothing"
            problem = f"it has none of the fields to send; it has: {has}"
            return InputRow(line=line, fields=value, problem=problem)
        return InputRow(line=line, fields=value, value=build_value(value, columns))

    def _read_table(self) -> Iterator[InputRow]:
        csv.field_size_limit(MAX_CELL_BYTES)
        # a quotation mark that belongs to a text would otherwise join lines in silence
        reader = csv.reader(self._text, delimiter=self.content.delimiter, strict=True)
        names = self._read_header(reader)
        columns = self._columns.require(names, self.name)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield InputRow(line=line, problem=f"it is malformed: {error}")
                continue
            if cells:
                yield _read_cells(cells, names, columns, line)

    def _read_header(self, reader: Iterator[list[str]]) -> list[str]:
        header = next((cells for cells in reader if cells), [])
        names = [name.strip() for name in header]
        # the index that pandas writes has no name
        names = [name or f"column_{place}" for place, name in enumerate(names, start=1)]
        if not all(map(_is_text, names)):
            raise Refused(f"The header of {self.name} is not UTF-8; save the file as CSV (UTF-8).")
        if twice := [name for name, num in Counter(names).items() if num > 1]:
            raise Refused(f"The header of {self.name} names the column {twice[0]!r} twice.")
        return names


def _read_cells(
    cells: list[str], names: list[str], columns: Mapping[str, str], line: int
) -> InputRow:
    fields = dict(zip(names, cells, strict=False))
    if len(cells) != len(names):
        problem = f"it has {len(cells)} cells, and the header has {len(names)}"
        return InputRow(line=line, fields=fields, problem=problem)
    return InputRow(line=line, fields=fields, value=build_value(fields, columns))


def _check_encoding(row: InputRow, number: int) -> InputRow:
    """The row with its number. Bytes that are no text are marked in its fields, and a problem."""
    fields = row.fields
    is_text = all(_is_text(part) for field in fields.items() for part in field)
    if not is_text:
        fields = {_replace_bytes(name): _replace_bytes(cell) for name, cell in fields.items()}
    problem = row.problem if is_text else "it is not valid UTF-8"
    value = None if problem else row.value
    return replace(row, number=number, fields=fields, value=value, problem=problem)


def _is_text(cell: Any) -> bool:
    text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _replace_bytes(cell: Any) -> Any:
    """The cell with question marks in place of bytes and halves of characters."""
    if isinstance(cell, str):
        return cell.encode("utf-8", "replace").decode()
    return json.loads(_replace_bytes(json.dumps(cell, ensure_ascii=False)))


class _CountingInput(io.RawIOBase):
    """A stream whose beginning was read to recognise it, and how many bytes have been read on."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = _read_head(stream)
        self._left = self.head
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left:
            part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        else:
            part = _read_some(self._stream, len(buffer))
        buffer[: len(part)] = part
        self.bytes_read += len(part)
        return len(part)


def _read_head(stream: BinaryIO) -> bytes:
    """Its first lines; a pipe that is slow is not waited for."""
    head = b""
    while len(head) < HEAD_BYTES and b"\n" not in head:
        part = _read_some(stream, HEAD_BYTES)
        if not part:
            break
        head += part
    return head


def _read_some(stream: BinaryIO, size: int) -> bytes:
    read: bytes = stream.read1(size) if hasattr(stream, "read1") else stream.read(size)
    return read
