"""Rows of delimited text under one dialect, by the standard library's reader, each with the lines
it was read from. Knows no header.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from trainer.readers.lines import MAX_LINE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """The cells of one row, or why there are none."""

    line: int
    cells: list[str] = field(default_factory=list)
    #: as they stand in the file
    lines: tuple[str, ...] = ()
    problem: str = ""


def csv_rows(numbered: Iterable[tuple[int, str]], options: dict[str, Any]) -> Iterator[CsvRow]:
    """`options` are those of `csv.reader`. Blank lines are skipped."""
    # the module's own limit, 131,072, is one for the whole process; lines are bounded here instead
    csv.field_size_limit(MAX_LINE_BYTES)
    taken: list[tuple[int, str]] = []
    reader = csv.reader(_recorded(numbered, taken), strict=True, **options)
    while True:
        taken.clear()
        problem, cells = "", list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = _sentence(str(error))
        # rows of empty cells are how spreadsheets write empty lines
        if problem or any(cell.strip() for cell in cells):
            lines = tuple(line for _, line in taken)
            yield CsvRow(line=taken[0][0], cells=cells, lines=lines, problem=problem)


def split_cells(line: str, delimiter: str) -> list[str]:
    """One line by itself, which may open a cell that it does not close."""
    csv.field_size_limit(MAX_LINE_BYTES)
    # a lone carriage return would be an error of the whole line
    return next(csv.reader([line.replace("\r", " ")], delimiter=delimiter), [])


def _recorded(numbered: Iterable[tuple[int, str]], taken: list[tuple[int, str]]) -> Iterator[str]:
    for number, line in numbered:
        taken.append((number, line))
        yield line


def _sentence(error: str) -> str:
    if "unexpected end" in error:
        return "a quote mark opens a cell that is never closed; double it or delete it"
    if "expected after" in error:
        return "text follows a closing quote mark; inside a quoted cell, double each quote mark"
    if "new-line" in error:
        return "a carriage return stands in a cell without quote marks"
    return error
