"""Recognises what a file holds by its first bytes, not by its name. Reads no row."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapterd.batch.input_row import InputColumns
from adapterd.errors import Refused

#: enough for a header or a first row
HEAD_BYTES = 64 * 1024
_TABLE = "{name} is {what}; export it as CSV (UTF-8)."
_COMPRESSED = "{name} is compressed ({what}); unpack it and pass the file inside."
_OTHER = "{name} is {what}; pass texts, JSON Lines or CSV."
#: formats that are recognised and refused: first bytes, what it is, what to do
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook or another ZIP archive", _TABLE),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _TABLE),
    (b"\x1f\x8b", "gzip", _COMPRESSED),
    (b"BZh", "bzip2", _COMPRESSED),
    (b"\xfd7zXZ\0", "xz", _COMPRESSED),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _COMPRESSED),
    (b"7z\xbc\xaf", "7-Zip", _COMPRESSED),
    (b"PAR1", "a Parquet file", _TABLE),
    (b"ARROW1\0\0", "an Arrow file", _TABLE),
    (b"SQLite format 3\0", "an SQLite database", _TABLE),
    (b"%PDF-", "a PDF document", _OTHER),
    (b"\x89PNG", "an image (PNG)", _OTHER),
    (b"\xff\xd8\xff", "an image (JPEG)", _OTHER),
    (b"GIF8", "an image (GIF)", _OTHER),
    (b"\x80\x04\x95", "a Python pickle", _OTHER),
    (b"\x93NUMPY", "a NumPy array", _OTHER),
)
#: of one cell, as in training; beyond it a reader loses its place in the file
MAX_CELL_BYTES = 8 * 2**20
_DELIMITERS = ",\t;|"
_TABLE_SUFFIXES = (".csv", ".tsv")
#: how an array of JSON begins; a text in brackets does not
_ARRAY = re.compile(r"\[\s*(?:$|[\[{\"\]])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds: `texts` (one a line), `jsonl`, `json` (one array) or `csv`."""

    format: str
    encoding: str = "utf-8"
    #: of CSV
    delimiter: str = ","


def recognize(head: bytes, name: str, columns: InputColumns) -> Content:
    """`head` is the beginning of the file, with at least its first line. Raises Refused."""
    for start, what, sentence in _REFUSED:
        if head.startswith(start):
            raise Refused(sentence.format(name=name, what=what))
    encoding = _find_encoding(head)
    if b"\0" in head and encoding != "utf-16":
        raise Refused(_OTHER.format(name=name, what="not text"))
    lines = list(_decode_lines(head, encoding))
    first = next((line for line in lines if line.strip()), "")
    if _is_object(first):
        return Content(format="jsonl", encoding=encoding)
    if _ARRAY.match(first.strip()):
        is_turns = len(lines) > 1 and _is_conversation(first)
        return Content(format="jsonl" if is_turns else "json", encoding=encoding)
    is_table = name.lower().endswith(_TABLE_SUFFIXES) or columns.text is not None
    delimiter = _find_delimiter(first, columns, name=name if is_table else "")
    if delimiter is None:
        return Content(format="texts", encoding=encoding)
    return Content(format="csv", encoding=encoding, delimiter=delimiter)


def _find_encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if head.startswith(b"\xef\xbb\xbf") else "utf-8"


def _decode_lines(head: bytes, encoding: str) -> Iterator[str]:
    text = head.decode(encoding, "replace")
    yield from io.StringIO(text, newline="")


def _is_object(line: str) -> bool:
    """Whether the line is one object of JSON, or begins like one that is damaged or too long."""
    start = line.strip()
    return start.startswith("{") and bool(re.match(r"\{\s*(?:\"|\}|$)", start))


def _is_conversation(line: str) -> bool:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, list) and all(isinstance(turn, dict) for turn in value)


def _find_delimiter(header: str, columns: InputColumns, *, name: str) -> str | None:
    """The delimiter with which the header names the columns to send; None for a line of text.

    `name` is that of a file which must be a table; its header is required to name the columns.
    """
    cells = {mark: split_cells(header, mark) for mark in _DELIMITERS}
    fitting = [mark for mark in _DELIMITERS if columns.match(cells[mark])]
    if fitting:
        return max(fitting, key=lambda mark: len(cells[mark]))
    if not name:
        return None
    most = max(_DELIMITERS, key=lambda mark: len(cells[mark]))
    columns.require(cells[most], name)
    return most


def split_cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
