"""CSV and its kin: a header line, then a record per row. Knows no quoting and no separators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from trainer.errors import BadLine
from trainer.readers.csv_dialect import CsvDialect, find_dialect
from trainer.readers.csv_rows import CsvRow
from trainer.readers.notice import Notice
from trainer.readers.record import Record

_NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}


def read_delimited(content: bytes) -> Iterator[Record | BadLine | Notice]:
    """A row that cannot be read is given as its error. Raises BadLine for a bad header."""
    dialect = find_dialect(content)
    names = _names(dialect)
    if dialect.notice:
        yield dialect.notice
    for row in dialect.rows(content):
        problem = _problem(row, names, dialect)
        if problem:
            yield BadLine(f"Line {row.line} {problem}.", line=row.line)
        else:
            yield Record(line=row.line, fields=dict(zip(names, row.cells, strict=False)))


def _names(dialect: CsvDialect) -> list[str]:
    """One without a name is named by its place; at the end nothing may stand in it."""
    given = [name.strip() for name in dialect.header]
    while given and not given[-1]:
        given.pop()
    if twice := [name for name, num in Counter(given).items() if name and num > 1]:
        raise BadLine(
            f"Line {dialect.start} must name each column once; {', '.join(map(repr, twice))} "
            "stands there more than once. The first line must be the header; rename or delete "
            "columns.",
            line=dialect.start,
        )
    return [name or _unused(f"column_{place}", given) for place, name in enumerate(given, start=1)]


def _unused(name: str, given: list[str]) -> str:
    return name if name not in given else _unused(f"{name}_", given)


def _problem(row: CsvRow, names: list[str], dialect: CsvDialect) -> str | None:
    if row.problem:
        return f"is malformed: {row.problem}"
    if num_lines := dialect.swallowing.get(row.line):
        return (
            f"begins a quoted cell of {num_lines} lines, each of which looks like a row; double "
            "the quote mark or delete it"
        )
    cells = [cell.strip() for cell in row.cells]
    if [cell.removeprefix("\ufeff") for cell in cells] == [name.strip() for name in dialect.header]:
        return "repeats the header; delete it"
    while len(cells) > len(names) and not cells[-1]:
        cells.pop()
    if len(cells) == len(names):
        return None
    mark = dialect.options["delimiter"]
    return (
        f"has {len(cells)} columns; the header has {len(names)}: a cell that holds "
        f"{_NAMES.get(mark, repr(mark))} must stand in quote marks, and each column needs a name"
    )
