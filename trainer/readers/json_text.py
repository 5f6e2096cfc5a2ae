"""JSON text to values, with what goes wrong as people look for it in a file. Knows no format."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str) -> Any:
    """Raises ValueError with the reason. A key that an object has twice is one: `json` would keep
    the last of its values and say nothing.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise ValueError(f"{error.msg} at {line}character {error.colno}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has the key {twice!r} more than once")
    return fields
