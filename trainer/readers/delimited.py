"""CSV and similar formats: a header line, then a record per row. Knows no quoting and no
separators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from trainer.errors import BadLine
from trainer.readers.csv_dialect import CsvDialect, find_dialect
from trainer.readers.csv_rows import CsvRow
from trainer.readers.json_text import quote_key
from trainer.readers.record import Notice, Record

_NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}
#: of the columns that have the same name
_MOST_NAMED = 8


def read_delimited(content: bytes) -> Iterator[Record | BadLine | Notice]:
    """A row that cannot be read is yielded as its error. Raises BadLine for a bad header."""
    dialect = find_dialect(content)
    names = _names(dialect)
    if dialect.notice:
        yield dialect.notice
    for row in dialect.rows(content):
        problem = _problem(row, names, dialect)
        if problem:
            yield BadLine(f"Line {row.line} {problem}.", line=row.line)
        else:
            fields = dict(zip(names, row.cells, strict=False))
            yield Record(line=row.line, fields=fields, tabular=True)


def _names(dialect: CsvDialect) -> list[str]:
    """A column without a name is named by its position; unnamed columns at the end are dropped."""
    names = [name.strip() for name in dialect.header]
    while names and not names[-1]:
        names.pop()
    if twice := [name for name, num in Counter(names).items() if name and num > 1]:
        listed = ", ".join(map(quote_key, twice[:_MOST_NAMED]))
        raise BadLine(
            f"Line {dialect.start}, the header, names a column more than once: {listed}. The first "
            "line must be the header, with each name once; rename or delete columns.",
            line=dialect.start,
        )
    return [
        name or _unused_name(f"column_{place}", names) for place, name in enumerate(names, start=1)
    ]


def _unused_name(name: str, names: list[str]) -> str:
    return name if name not in names else _unused_name(f"{name}_", names)


def _problem(row: CsvRow, names: list[str], dialect: CsvDialect) -> str | None:
    if row.problem:
        return f"is malformed: {row.problem}"
    if num_lines := dialect.swallowing.get(row.line):
        return (
            f"begins a quoted cell of {num_lines} lines that each look like a row; double the "
            "quote mark or delete it"
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
        f"has {len(cells)} columns, and the header has {len(names)}; quote cells that contain "
        f"{_NAMES.get(mark, repr(mark))}, and name every column"
    )
