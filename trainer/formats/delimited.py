"""CSV and its kin: a header line, then a record per row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from trainer.errors import BadLine
from trainer.formats.lines import numbered_lines
from trainer.formats.record import Record

_DELIMITERS = ",\t;|"


def read_delimited(content: bytes) -> Iterator[Record | BadLine]:
    """A row that cannot be read is given as its error. Raises BadLine for a bad header."""
    lines = numbered_lines(content)
    start, first = next((number, line) for number, line in lines if line.strip())
    rows = chain([first], (line for _, line in lines))
    reader = csv.reader(rows, delimiter=_delimiter(first), strict=True)
    header = _header(reader, start)
    while True:
        line = start + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadLine(f"Line {line} is malformed: {error}.", line=line)
            continue
        if len(cells) == len(header):
            yield Record(line=line, fields=dict(zip(header, cells, strict=True)))
        elif cells:
            found = f"{len(cells)} columns; the header has {len(header)}"
            yield BadLine(f"Line {line} has {found}.", line=line)


def _header(reader: Iterator[list[str]], line: int) -> list[str]:
    try:
        header = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise BadLine(f"Line {line} is malformed: {error}.", line=line) from None
    if len(set(header)) != len(header) or not all(header):
        named = ", ".join(repr(name) for name in header)
        raise BadLine(f"Line {line} must name each column once; it has: {named}.", line=line)
    return header


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)
