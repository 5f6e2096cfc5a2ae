"""Protobuf Structs as plain JSON values. Knows no message of adapterd."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def read_struct(message: Message) -> dict[str, Any]:
    """The Struct's fields. A Struct has doubles only, so whole numbers become integers again."""
    fields: dict[str, Any] = _restore_integers(MessageToDict(message))
    return fields


def _restore_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _restore_integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_restore_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
