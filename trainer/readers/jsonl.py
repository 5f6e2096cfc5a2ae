"""One JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from trainer.errors import BadLine
from trainer.readers.json_text import json_type, parse_json
from trainer.readers.lines import numbered_lines
from trainer.readers.record import Record


def read_jsonl(
    content: bytes | IO[bytes], unit: str = "Line", *, tabular: bool = False
) -> Iterator[Record | BadLine]:
    """Blank lines are skipped; a line that cannot be read is yielded as its error."""
    for number, line in numbered_lines(content):
        if line.strip():
            try:
                fields = _json_object(line, number)
            except BadLine as error:
                yield error
            else:
                yield Record(line=number, fields=fields, unit=unit, tabular=tabular)


def _json_object(line: str, number: int) -> dict[str, Any]:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise BadLine(
            f"Line {number} is not JSON: {error}. Each line must be one complete object.",
            line=number,
        ) from None
    if not isinstance(value, dict):
        raise BadLine(
            f"Line {number} is {json_type(value)}; each line must be one JSON object.", line=number
        )
    return value
