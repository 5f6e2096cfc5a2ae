"""CoNLL: a token per line with its tags after it, and a blank line after each sentence."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.errors import BadLine
from trainer.formats.lines import numbered_lines
from trainer.formats.record import Record

_DOCUMENT = "-DOCSTART-"


def read_conll(content: bytes) -> Iterator[Record | BadLine]:
    """The first column is the token, the last its tag; all are there as `column_1` and so on.

    A sentence with a line that cannot be read is given as that line's error.
    """
    rows: list[list[str]] = []
    start, problem = 1, None
    for number, line in numbered_lines(content):
        cells = _cells(line)
        if cells and cells[0] != _DOCUMENT:
            start = start if rows else number
            rows.append(cells)
            if len(cells) < 2 and problem is None:
                problem = _lonely(cells[0], number)
        elif rows:
            yield problem or _sentence(rows, start)
            rows, problem = [], None
    if rows:
        yield problem or _sentence(rows, start)


def _cells(line: str) -> list[str]:
    if "\t" not in line:
        return line.split()
    # between tabs a token may hold spaces
    return [cell.strip() for cell in line.rstrip().split("\t")] if line.strip() else []


def _lonely(token: str, number: int) -> BadLine:
    return BadLine(
        f"Line {number} has one column, {token!r}; a token and its tag are needed.", line=number
    )


def _sentence(rows: list[list[str]], start: int) -> Record:
    fields = {"tokens": [cells[0] for cells in rows], "ner_tags": [cells[-1] for cells in rows]}
    num_columns = len(rows[0])
    if num_columns > 2 and all(len(cells) == num_columns for cells in rows):
        for index in range(num_columns):
            fields[f"column_{index + 1}"] = [cells[index] for cells in rows]
    return Record(line=start, fields=fields)
