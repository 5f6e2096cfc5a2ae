"""What all values that the clients return have in common. Knows none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


class Result:
    """A frozen value that a client returns."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The value as plain JSON, with the names and the shape of the HTTP API where it has the
        same value.

        >>> RowError(code="empty_input", message="The input is empty.").to_dict()
        {'error': {'code': 'empty_input', 'message': 'The input is empty.'}}
        """
        return {name: to_json(value) for name, value in self.list_fields()}

    def list_fields(self) -> list[tuple[str, Any]]:
        """Names and values, in order."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]


def to_json(value: Any) -> Any:
    """The value as plain JSON."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    return [to_json(part) for part in value] if isinstance(value, list | tuple) else value
