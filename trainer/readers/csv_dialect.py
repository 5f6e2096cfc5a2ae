"""The dialect of a delimited file, how it separates and quotes cells: the first of three dialects
in which all rows are complete. Knows no columns by name.

In many exports, above all tab-separated ones, quote marks have no meaning; a cell that begins with
one would then swallow the lines up to the next.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from trainer.errors import BadLine
from trainer.readers.csv_rows import CsvRow, csv_rows, split_cells
from trainer.readers.lines import numbered_lines
from trainer.readers.record import Notice

#: if a header has equally many of two of them, the earlier one wins
_DELIMITERS = "\t,;|"
#: the line that tells Excel the delimiter
_SEP = re.compile(r'"?sep=(.)"?[\s,;|]*', re.IGNORECASE)
#: a backslash before another character than a quote mark, so backslashes may not escape
_OTHER_ESCAPE = re.compile(rb'\\(?!["\\])')
_DOUBLED = re.compile(r'".*"".*"', re.DOTALL)
#: a column with more values than these does not help to distinguish rows from prose
_MAX_VALUES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvDialect:
    """The options of `csv.reader`, the header, and the lines that it would misread."""

    start: int
    header: list[str]
    options: dict[str, Any]
    #: lines on which a quoted cell begins that swallows other rows, with its number of lines
    swallowing: dict[int, int] = field(default_factory=dict)
    notice: Notice | None = None

    def rows(self, content: bytes) -> Iterator[CsvRow]:
        """The rows after the header."""
        rows = csv_rows(_from(content, self.start), self.options)
        next(rows)
        return rows


def find_dialect(content: bytes) -> CsvDialect:
    """Raises BadLine for a header that cannot be read."""
    quoted = _quoted_dialect(content)
    if b'"' not in content:
        return quoted
    misread = _misread(content, quoted)
    if misread.first is None:
        return quoted
    others = (
        other
        for other in _others(content, quoted, misread.first)
        if (misread.certain or _is_literal(other)) and _fits(content, other)
    )
    return next(others, replace(quoted, swallowing=misread.swallowing))


def _quoted_dialect(content: bytes) -> CsvDialect:
    """The standard dialect: cells may be quoted, and quote marks in them are doubled."""
    lines = ((number, line) for number, line in numbered_lines(content) if line.strip())
    start, first = next(lines)
    sep = _SEP.fullmatch(first)
    if sep:
        start, first = next(lines, (start, first))
    delimiter = sep[1] if sep else max(_DELIMITERS, key=lambda mark: len(split_cells(first, mark)))
    spaced = all(name.startswith(" ") for name in split_cells(first, delimiter)[1:])
    options = {"delimiter": delimiter, "skipinitialspace": spaced and delimiter != "\t"}
    header = next(csv_rows(_from(content, start), options))
    if header.problem:
        raise BadLine(f"Line {start} is malformed: {header.problem}.", line=start)
    return CsvDialect(start=start, header=header.cells, options=options)


def _others(content: bytes, quoted: CsvDialect, line: int) -> Iterator[CsvDialect]:
    if b'\\"' in content and not _OTHER_ESCAPE.search(content):
        yield replace(
            quoted,
            options={**quoted.options, "escapechar": "\\", "doublequote": False},
            notice=Notice(
                line=line,
                message=f"Line {line} shows that quote marks inside of cells are escaped by a "
                "backslash; the backslashes are removed.",
            ),
        )
    # a writer that quotes cells also quotes those of the header, or doubles quote marks in cells
    if '"' not in "".join(next(csv_rows(_from(content, quoted.start), quoted.options)).lines):
        yield replace(
            quoted,
            options={**quoted.options, "quoting": csv.QUOTE_NONE},
            notice=Notice(
                line=line,
                message=f"On line {line} a cell begins with a quote mark and does not end with "
                "one; all quote marks of the file are read as part of the texts.",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Misread:
    """Lines that a dialect misreads, certainly or possibly: the first of them, and the lines on
    which a cell begins that certainly swallows other rows, with its number of lines.
    """

    first: int | None
    certain: bool
    swallowing: dict[int, int]


def _misread(content: bytes, dialect: CsvDialect) -> _Misread:
    columns = [_Column() for _ in dialect.header]
    malformed, long = list[int](), list[CsvRow]()
    for row in dialect.rows(content):
        if row.problem:
            malformed.append(row.line)
        elif len(row.lines) > 1:
            long.append(row)
        else:
            for column, cell in zip(columns, row.cells, strict=False):
                column.add(cell.strip())
    delimiter = dialect.options["delimiter"]
    swallowing = {
        row.line: len(row.lines) for row in long if _are_rows(row.lines, delimiter, columns)
    }
    spaced = dialect.options["skipinitialspace"]
    doubtful = [
        row.line
        for row in long
        if not spaced and _may_be_rows(row.lines, delimiter, len(dialect.header))
    ]
    first = min([*malformed, *swallowing, *doubtful], default=None)
    return _Misread(first=first, certain=bool(malformed or swallowing), swallowing=swallowing)


class _Column:
    """What the cells of a column have in common, from rows that are one line."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._numbers = True

    def add(self, cell: str) -> None:
        self._numbers = self._numbers and _is_number(cell)
        if cell and len(self._values) < _MAX_VALUES:
            self._values.add(cell)

    def has_like(self, cell: str) -> bool:
        return cell in self._values or (bool(self._values) and self._numbers and _is_number(cell))


def _are_rows(lines: tuple[str, ...], delimiter: str, columns: list[_Column]) -> bool:
    """Whether each line has all columns, and the cells of one column are like those of other rows.
    Tabs hardly occur in texts, so with them the number of columns is enough.
    """
    split = [line.strip("\r\n").split(delimiter) for line in lines if line.strip()]
    if len(columns) < 2 or not all(len(cells) == len(columns) for cells in split):
        return False
    return delimiter == "\t" or any(
        all(column.has_like(cells[index].strip()) for cells in split)
        for index, column in enumerate(columns)
    )


def _may_be_rows(lines: tuple[str, ...], delimiter: str, num_columns: int) -> bool:
    """Whether each line has all columns, none of them empty, and no space after a delimiter, as
    prose has after commas.
    """
    split = [line.strip("\r\n").split(delimiter) for line in lines if line.strip()]
    return num_columns > 1 and all(
        len(cells) == num_columns and all(cell.strip() == cell.rstrip() != "" for cell in cells)
        for cells in split
    )


def _fits(content: bytes, dialect: CsvDialect) -> bool:
    """Whether all rows are complete, and no cell shows that it was quoted after all."""
    literal = _is_literal(dialect)
    for row in dialect.rows(content):
        if row.problem or len(row.cells) != len(dialect.header):
            return False
        if literal and any(_DOUBLED.fullmatch(cell.strip()) for cell in row.cells):
            return False
    return literal or _misread(content, dialect).first is None


def _is_literal(dialect: CsvDialect) -> bool:
    return bool(dialect.options.get("quoting") == csv.QUOTE_NONE)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _from(content: bytes, start: int) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in numbered_lines(content) if number >= start)
