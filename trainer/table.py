"""Bytes of an uploaded file to records with their line numbers: JSONL, CSV, TSV and two-column
CoNLL.

Knows formats only, not what a record means.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from trainer.errors import BadDataset, BadEncoding, BadLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One labelled thing of a file, and the line it starts on."""

    line: int
    fields: dict[str, Any]


def read_records(content: bytes, filename: str) -> Iterator[Record]:
    """Raises BadDataset, naming the line wherever there is one to name."""
    text = _decoded(content)
    if not text.strip():
        raise BadDataset(f"{filename} is empty.")
    return _READERS[_format(text, filename)](text)


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadEncoding("The file is UTF-16; save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte {error.object[error.start]:#04x} on line {line}"
        raise BadEncoding(
            f"The file is not UTF-8: {found} cannot be read; save it as UTF-8."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadEncoding(f"The file is not text: line {line} holds a NUL byte.")
    return text


def _format(text: str, filename: str) -> str:
    suffix = PurePath(filename).suffix.lower().lstrip(".")
    if suffix in ("conll", "bio", "iob", "iob2"):
        return "conll"
    start = text.lstrip()[:1]
    if start == "[" and suffix not in ("csv", "tsv"):
        raise BadDataset(
            "The file is one JSON array; write one JSON object per line instead (JSONL)."
        )
    if start == "{" and suffix not in ("csv", "tsv"):
        return "jsonl"
    # a name that promises JSON is held to it, so that the first bad line is named
    return "jsonl" if suffix in ("jsonl", "json", "ndjson") else "delimited"


def _jsonl(text: str) -> Iterator[Record]:
    # split("\n") and not splitlines(): U+2028 and friends are legal inside a JSON string
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Record(line=number, fields=_json_object(line, number))


def _json_object(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except RecursionError:
        raise BadLine(f"Line {number} is nested too deeply.", line=number) from None
    except ValueError as error:
        raise BadLine(f"Line {number} is not JSON: {error}.", line=number) from None
    if not isinstance(value, dict):
        found = type(value).__name__
        raise BadLine(
            f"Line {number} is a JSON {found}; each line must be one object.", line=number
        )
    return value


def _delimited(text: str) -> Iterator[Record]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=_delimiter(text), strict=True)
    header = _header(reader)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadLine(f"Line {line} is malformed: {error}.", line=line) from None
        if not cells:
            continue
        if len(cells) != len(header):
            found = f"{len(cells)} columns; the header has {len(header)}"
            raise BadLine(f"Line {line} has {found}.", line=line)
        yield Record(line=line, fields=dict(zip(header, cells, strict=True)))


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise BadLine(f"Line 1 is malformed: {error}.", line=1) from None
    if len(set(header)) != len(header) or not all(header):
        named = ", ".join(repr(name) for name in header)
        raise BadLine(f"Line 1 must name each column once; it has: {named}.", line=1)
    return header


def _delimiter(text: str) -> str:
    header = text.lstrip().split("\n", 1)[0]
    return max(",\t;", key=header.count)


def _conll(text: str) -> Iterator[Record]:
    tokens: list[str] = []
    tags: list[str] = []
    start = 1
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        cells = line.split()
        if cells and cells[0] != "-DOCSTART-":
            start = start if tokens else number
            token, tag = _token_and_tag(cells, number)
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield Record(line=start, fields={"tokens": tokens, "ner_tags": tags})
            tokens, tags = [], []


def _token_and_tag(cells: list[str], number: int) -> tuple[str, str]:
    if len(cells) < 2:
        found = f"one column, {cells[0]!r}"
        raise BadLine(f"Line {number} has {found}; a token and its tag are needed.", line=number)
    return cells[0], cells[-1]


_READERS: dict[str, Callable[[str], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "delimited": _delimited,
    "conll": _conll,
}
