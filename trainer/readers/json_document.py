"""A file that is one JSON value: an array of rows, an object with the list `data` of rows or of
SQuAD's articles. Other objects are refused, with what wrote them. Knows no head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.errors import BadDataset, BadLine
from trainer.readers.json_text import json_type, parse_elements, parse_json, quote_key
from trainer.readers.lines import whole_text
from trainer.readers.record import Record
from trainer.readers.squad import is_squad, read_squad

#: the whole document is held in memory, so its limit is lower than that of a file of lines
MAX_BYTES = 128 * 2**20
_NOT_SPACE = re.compile(rb"\S")
_BY_ROWS = 'df.to_json(path, orient="records", lines=True)'


def is_document(content: bytes) -> bool:
    """Whether the file is one JSON value, and not an object per line. A damaged object counts only
    if it has SQuAD's keys, because the errors of its lines say more.
    """
    start = len(content) - len(content.lstrip())
    if content[start : start + 1] == b"[":
        return True
    # places instead of parts, because a copy of a large file would not fit into the limit
    end = content.find(b"\n", start)
    end = len(content) if end < 0 else end
    if end - start > MAX_BYTES:
        return True  # no line may be that long
    try:
        value = parse_json(content[start:end].decode())
    except ValueError:
        return (b'"data"' in content and b'"question"' in content) or _is_whole(content)
    is_last = _NOT_SPACE.search(content, end) is None
    return is_last and (_is_table(value) or _has_columns(value))


def read_document(content: bytes) -> Iterator[Record | BadLine]:
    """Raises BadDataset where the file as a whole cannot be read."""
    if len(content) > MAX_BYTES:
        raise BadDataset(
            f"The file is one JSON value of {len(content)} bytes, and the limit is {MAX_BYTES}; "
            "use one JSON object per line instead (JSON Lines), which `jq -c '.[]'` writes."
        )
    text = whole_text(content)
    if text.lstrip()[:1] == "[":
        return _read_array(text)
    return _read_object(text)


def _read_array(text: str) -> Iterator[Record | BadLine]:
    """A record per element, on the line where it begins."""
    num, line, before = 0, 1, 0
    try:
        for start, value in parse_elements(text):
            num += 1
            line += text.count("\n", before, start)
            before = start
            yield _row(value, line, num)
    except ValueError as error:
        raise BadDataset(f"The file is one JSON array, and cannot be read: {error}.") from None
    if not num:
        raise BadDataset("The file is an empty JSON array, so it has no rows.")


def _read_object(text: str) -> Iterator[Record | BadLine]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise BadDataset(
            f"The file cannot be read as SQuAD, one JSON object with a list `data`: {error}."
        ) from None
    if not _is_table(value):
        raise BadDataset(_other_object(value))
    rows = value["data"]
    if not rows:
        raise BadDataset("The file is one JSON object whose list `data` is empty: it has no rows.")
    if is_squad(rows):
        return read_squad(rows, text)
    if isinstance(rows[0], list):
        raise BadDataset(_by_columns("a list of columns and a list `data` of values"))
    return (_row(row, place, place, unit="Row") for place, row in enumerate(rows, start=1))


def _row(value: Any, line: int, place: int, unit: str = "Line") -> Record | BadLine:
    if isinstance(value, dict):
        return Record(line=line, fields=value, unit=unit)
    return BadLine(
        f"{unit} {line}: element {place} is {json_type(value)}; each must be an object.", line=line
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("data"), list)


def _has_columns(value: Any) -> bool:
    """Whether an object holds a column of values under each key, and not one value."""
    columns = [*value.values()] if isinstance(value, dict) else []
    return len(columns) > 1 and all(isinstance(column, dict) and column for column in columns)


def _is_whole(content: bytes) -> bool:
    """Whether an object over several lines is all that the file has."""
    try:
        return len(content) <= MAX_BYTES and isinstance(parse_json(content.decode()), dict)
    except ValueError:
        return False


def _other_object(value: Mapping[str, Any]) -> str:
    if _has_columns(value):
        return _by_columns("an object for each column")
    keys = ", ".join(map(quote_key, [*value][:8]))
    return (
        f"The file is one JSON object over several lines, with the keys {keys}; write one row per "
        "line (JSON Lines), or a JSON array of rows."
    )


def _by_columns(what: str) -> str:
    return (
        f"The file is one JSON object with {what}, as pandas writes it; write one row per line "
        f"instead: `{_BY_ROWS}`."
    )
