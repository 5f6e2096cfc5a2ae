"""Rows of delimited text in one dialect, by the standard library's reader, each with the lines that
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
    """The cells of one row, or the problem that prevented reading them."""

    line: int
    cells: list[str] = field(default_factory=list)
    #: the lines of the row as they are in the file
    lines: tuple[str, ...] = ()
    problem: str = ""


def csv_rows(numbered: Iterable[tuple[int, str]], options: dict[str, Any]) -> Iterator[CsvRow]:
    """`options` are those of `csv.reader`. Blank lines are skipped."""
    # the module's limit of 131,072 is global to the process; this reader limits lines instead
    csv.field_size_limit(MAX_LINE_BYTES)
    consumed: list[tuple[int, str]] = []
    reader = csv.reader(_record_lines(numbered, consumed), strict=True, **options)
    while True:
        consumed.clear()
        problem, cells = "", list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = _sentence(str(error))
        # spreadsheets export empty lines as rows of empty cells
        if problem or any(cell.strip() for cell in cells):
            lines = tuple(line for _, line in consumed)
            yield CsvRow(line=consumed[0][0], cells=cells, lines=lines, problem=problem)


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line, which may open a quoted cell without closing it."""
    csv.field_size_limit(MAX_LINE_BYTES)
    # a lone carriage return would be an error for the whole line
    return next(csv.reader([line.replace("\r", " ")], delimiter=delimiter), [])


def _record_lines(
    numbered: Iterable[tuple[int, str]], consumed: list[tuple[int, str]]
) -> Iterator[str]:
    for number, line in numbered:
        consumed.append((number, line))
        yield line


def _sentence(error: str) -> str:
    if "unexpected end" in error:
        return "a quote mark opens a cell that is never closed; double it or delete it"
    if "expected after" in error:
        return "text follows a closing quote mark; inside a quoted cell, double each quote mark"
    if "new-line" in error:
        return "a cell without quote marks contains a carriage return"
    return error
