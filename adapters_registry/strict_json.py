"""JSON from strangers: one meaning per document, or refused. Knows nothing of adapters."""

from __future__ import annotations

import json
import math
from typing import Any


class NotStrictJson(ValueError):
    """The text is not JSON that every parser reads alike."""


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object without duplicate keys, NaN, infinities or bad UTF-8.

    NotStrictJson says what is wrong.
    """
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise NotStrictJson("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise NotStrictJson("it is not UTF-8") from error
    except NotStrictJson:
        raise
    except ValueError as error:
        raise NotStrictJson(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise NotStrictJson("it is not a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers disagree on which of two equal keys wins, and so would a scanner and a loader."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotStrictJson(f"key {key[:80]!r} appears twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise NotStrictJson(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrictJson(f"number {digits[:40]} is out of range")
    return value
