"""CoNLL: one token per line, its tags in further columns, and a blank line after each sentence.
Recognises the columns by the content of the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from trainer.errors import BadLine
from trainer.readers.lines import numbered_lines
from trainer.readers.record import Record

_DOCUMENT = "-DOCSTART-"
#: the id of a token in CoNLL-U: `3`, `3-4` for a multiword token, `3.1` for an empty node
_ID = re.compile(r"\d+(?:[-.]\d+)?")
#: a tag of any common scheme, including BILOU and BMES
_TAG = re.compile(r"O|[BIESLUM]-.+")
#: a file is recognised as CoNLL by this many first lines
_FIRST_LINES = 50

_Cells = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The number of columns, and which of them (from 0) hold tokens and tags."""

    num: int
    token: int
    tag: int


def read_conll(content: bytes) -> Iterator[Record | BadLine]:
    """The first column is the token, or the second after a column of ids; the last is the tag. With
    more than two columns, each is also a field `column_1` and so on.

    A sentence with a line that cannot be read is yielded as the error of that line.
    """
    columns = _columns(content)
    for rows in _sentences(numbered_lines(content)):
        words = [row for row in rows if columns.token == 0 or row[1][0].isdecimal()]
        bad = next((problem for row in rows if (problem := _problem(*row, columns))), None)
        if bad:
            yield bad
        elif words:
            yield _sentence(words, columns)


def is_conll(content: bytes) -> bool:
    """Whether its first lines are tokens with tags, without a header."""
    lines = islice(numbered_lines(content), _FIRST_LINES)
    first = [row for sentence in _sentences(lines) for row in sentence]
    return bool(first) and all(len(cells) > 1 and _is_tag(cells[-1]) for _, cells in first)


def _sentences(lines: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, _Cells]]]:
    """The lines of each sentence as cells, without comments."""
    rows: list[tuple[int, _Cells]] = []
    first: _Cells | None = None
    for number, line in lines:
        cells = _cells(line)
        if cells and not cells[0].startswith(_DOCUMENT):
            if cells[0].startswith("#") and _is_comment(cells, first):
                continue
            first = first or cells
            rows.append((number, cells))
        elif rows:
            yield rows
            rows = []
    if rows:
        yield rows


def _is_comment(cells: _Cells, first: _Cells | None) -> bool:
    """Hashtags are no comments: they have the columns of other tokens, and a tag where others
    have one.
    """
    if first is None:
        return len(cells) < 2 or not _is_tag(cells[-1])
    return len(cells) != len(first) or (_is_tag(first[-1]) and not _is_tag(cells[-1]))


def _is_tag(cell: str) -> bool:
    return _TAG.fullmatch(cell) is not None


def _cells(line: str) -> _Cells:
    # other kinds of spaces are part of a token, as in 10 000
    plain = line.strip(" \t\r\n\ufeff")
    if not plain.strip():
        return []
    # between tabs a token may hold spaces
    parts = plain.split("\t") if "\t" in plain else re.split(" +", plain)
    return [part.strip(" ") for part in parts]


def _columns(content: bytes) -> _Columns:
    num, counted, most = 0, True, 0
    tags: set[int] = set()
    for rows in _sentences(numbered_lines(content)):
        num, most = num or len(rows[0][1]), max(most, len(rows))
        counted = counted and num > 2 and _counts([cells[0] for _, cells in rows])
        for _, cells in rows:
            tags |= {index for index, cell in enumerate(cells) if index and _is_tag(cell)}
        if not counted and num - 1 in tags:
            break
    tag = num - 1 if num - 1 in tags or not tags else max(tags)
    return _Columns(num=num, token=1 if counted and most > 1 else 0, tag=tag)


def _counts(ids: _Cells) -> bool:
    whole = [int(each) for each in ids if each.isdecimal()]
    return all(_ID.fullmatch(each) for each in ids) and bool(
        whole and whole[0] in (0, 1) and whole == list(range(whole[0], whole[0] + len(whole)))
    )


def _problem(number: int, cells: _Cells, columns: _Columns) -> BadLine | None:
    if len(cells) == 1:
        return BadLine(
            f"Line {number} has one column, {cells[0]!r}; a token and its tag are needed.",
            line=number,
        )
    if len(cells) != columns.num:
        return BadLine(
            f"Line {number} has {len(cells)} columns, and the first line with a token has "
            f"{columns.num}; separate columns by tabs if tokens contain spaces.",
            line=number,
        )
    spans = columns.token == 1 and not cells[0].isdecimal()
    if spans and _is_tag(cells[columns.tag]) and cells[columns.tag] != "O":
        return BadLine(
            f"Line {number} tags the multiword token {cells[0]} {cells[1]!r}; tag its words "
            "instead.",
            line=number,
        )
    return None


def _sentence(rows: list[tuple[int, _Cells]], columns: _Columns) -> Record:
    fields = {
        "tokens": [cells[columns.token] for _, cells in rows],
        "ner_tags": [cells[columns.tag] for _, cells in rows],
    }
    if columns.num > 2:
        for index in range(columns.num):
            fields[f"column_{index + 1}"] = [cells[index] for _, cells in rows]
    return Record(line=rows[0][0], fields=fields)
