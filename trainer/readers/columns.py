"""Finds the columns that a job names in records that write them in another case, and suggests a
column where one is missing. Knows no head.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches

from trainer.errors import BadLine
from trainer.readers.json_text import quote_key
from trainer.readers.record import Notice, Record

#: names that a column often has instead of the default
_OTHER_NAMES = {
    "text": (
        "sentence", "content", "message", "body", "tweet", "review", "document", "comment", "post",
        "utterance", "description", "input", "question", "title", "subject",
    ),
    "label": (
        "labels", "category", "class", "target", "sentiment", "intent", "topic", "y", "tag",
        "rating", "score", "output", "answer",
    ),
}  # fmt: skip
#: numbers of rows, which hold neither texts nor labels
_MAX_NAME = 64
_INDEX = re.compile(r"column_\d+_*|unnamed:\d+|index|idx|id")


def match_columns(
    rows: Iterable[Record | BadLine | Notice], names: Collection[str]
) -> Iterator[Record | BadLine | Notice]:
    """The rows, with `Text` renamed to `text` where the job names `text` and a row does not have
    it; a notice says so once for each column.
    """
    announced: set[str] = set()
    fields_before: list[str] = []
    matches: Mapping[str, str] = {}
    for row in rows:
        if isinstance(row, Record):
            if [*row.fields] != fields_before:
                fields_before = [*row.fields]
                matches = _matches(fields_before, names)
            for column, name in matches.items():
                if column not in announced:
                    announced.add(column)
                    yield Notice(
                        message=f"The column {quote_key(column)} is used as {name!r}; the names "
                        "differ only "
                        "in case and spaces.",
                        line=row.line,
                    )
            if matches:
                fields = {matches.get(name, name): value for name, value in row.fields.items()}
                row = replace(row, fields=fields)
        yield row


def suggest_column(missing: str, present: Collection[str], used: Collection[str]) -> str | None:
    """The column that is most likely meant; None where no one is likelier than others. `used` are
    the columns that the job uses for something else.
    """
    free = [
        name
        for name in present
        if name not in used and len(name) <= _MAX_NAME and not _INDEX.fullmatch(_key(name))
    ]
    by_key = {_key(name): name for name in free}
    for other in _OTHER_NAMES.get(missing, ()):
        if other in by_key:
            return by_key[other]
    if near := get_close_matches(_key(missing), by_key, n=1, cutoff=0.75):
        return by_key[near[0]]
    return free[0] if len(free) == 1 and len(present) > 1 else None


def _matches(fields: Collection[str], names: Collection[str]) -> dict[str, str]:
    """The fields that one of the names means, and only one field."""
    matches = {}
    for name in names:
        if name not in fields:
            like = [each for each in fields if _key(each) == _key(name)]
            if len(like) == 1:
                matches[like[0]] = name
    return matches


def _key(name: str) -> str:
    return "".join(name.split()).casefold()
