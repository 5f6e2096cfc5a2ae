"""Outputs as columns of a table: one cell per field. Knows no file format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapterd.values.predictions import Output, RowError

PREFIX = "predicted_"
#: fields that have no place in a cell; JSON has them
_DETAILS = ("scores", "usage", "logprobs")


def to_columns(output: Output, prefix: str = PREFIX) -> dict[str, Any]:
    """The cells of an answer, or one cell with the error of a row that has none.

    >>> to_columns(Value(value=0.5))
    {'predicted_value': 0.5}
    >>> to_columns(RowError(code="empty_input", message="The input is empty."))
    {'predicted_error': 'empty_input: The input is empty.'}
    """
    if isinstance(output, RowError):
        return {error_column(prefix): f"{output.code}: {output.message}"}
    shape: Mapping[str, Any] = output.to_dict()
    return {f"{prefix}{name}": value for name, value in shape.items() if name not in _DETAILS}


def error_column(prefix: str = PREFIX) -> str:
    return f"{prefix}error"


def version_column(prefix: str = PREFIX) -> str:
    """The column that names the version which answered."""
    return f"{prefix}by"
