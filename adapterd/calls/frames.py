"""A data frame of pandas as inputs, and the answers as new columns of it. Imports no pandas: only
what the frame itself can do is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapterd.calls.arguments import describe
from adapterd.errors import InvalidInput, Refused
from adapterd.values import Output
from adapterd.values.columns import error_column, to_columns, version_column


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameColumns:
    """The columns that are sent: a text, a pair, or a question and its context."""

    text: str
    text_pair: str | None = None
    question: str | None = None
    prefix: str = "predicted_"

    @property
    def fields(self) -> dict[str, str]:
        """By the field names of the HTTP API."""
        if self.question is not None:
            return {"question": self.question, "context": self.text}
        return {"text": self.text, **({"text_pair": self.text_pair} if self.text_pair else {})}


def read_frame(frame: Any, columns: FrameColumns) -> list[dict[str, Any]]:
    """One input a row. Raises InvalidInput and Refused."""
    if not (hasattr(frame, "assign") and hasattr(frame, "columns") and hasattr(frame, "index")):
        raise InvalidInput(
            f"frame is {describe(frame)}; it must be a DataFrame of pandas "
            "(`pip install 'adapterd[pandas]'`). For other rows there is predict_rows."
        )
    names = [str(name) for name in frame.columns]
    for column in columns.fields.values():
        if names.count(column) != 1:
            problem = "has no column" if column not in names else "has more than one column"
            raise Refused(f"The frame {problem} {column!r}; it has: {', '.join(names)}.")
    cells = [frame[column].tolist() for column in columns.fields.values()]
    return [dict(zip(columns.fields, row, strict=True)) for row in zip(*cells, strict=True)]


def add_answers(frame: Any, outputs: Sequence[Output], by: str, columns: FrameColumns) -> Any:
    """A copy of the frame, with its index, and a column for each field of the answers."""
    rows = [to_columns(output, columns.prefix) for output in outputs]
    error, version = error_column(columns.prefix), version_column(columns.prefix)
    names = dict.fromkeys(name for row in rows for name in row if name != error)
    if taken := [name for name in (*names, error, version) if name in frame.columns]:
        raise Refused(f"The frame has a column {taken[0]!r} already; pass another `prefix`.")
    cells = {name: [row.get(name) for row in rows] for name in (*names, error)}
    return frame.assign(**cells, **{version: by or None})
