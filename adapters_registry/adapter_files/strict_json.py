"""JSON from strangers: one meaning per document, or refused. Knows nothing of adapters."""

from __future__ import annotations

import json
import math
from typing import Any

_MOST_DIGITS = 20  # of a 64-bit number, and its sign


class NotStrictJson(ValueError):
    """The text is not JSON that every parser reads alike."""


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object without duplicate keys, NaN, infinities, bad UTF-8, lone surrogates, or whole
    numbers of more than 64 bits.

    NotStrictJson says what is wrong.
    """
    document = _parse(content)
    if not isinstance(document, dict):
        raise NotStrictJson("it is not a JSON object")
    return document


def parse_list(content: bytes) -> list[Any]:
    """A JSON list, as strictly."""
    document = _parse(content)
    if not isinstance(document, list):
        raise NotStrictJson("it is not a JSON list")
    return document


def _parse(content: bytes) -> Any:
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise NotStrictJson("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise NotStrictJson("it is not UTF-8") from error
    except UnicodeEncodeError as error:  # escaped in the text, so only what was read shows it
        raise NotStrictJson("it holds an unpaired surrogate, which is no character") from error
    except NotStrictJson:
        raise
    except ValueError as error:
        raise NotStrictJson(f"it is not JSON: {error}") from error
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers disagree on which of two equal keys wins, and so would a scanner and a loader."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise NotStrictJson(f"key {key[:80]!r} appears twice")
        document[key] = value
    return document


def _refuse_constant(name: str) -> float:
    raise NotStrictJson(f"{name} is not a JSON number")


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) <= _MOST_DIGITS else None
    if value is None or not -(2**63) <= value < 2**63:
        raise NotStrictJson(f"number {digits[:40]} is out of range")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrictJson(f"number {digits[:40]} is out of range")
    return value
