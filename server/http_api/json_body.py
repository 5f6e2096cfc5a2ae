"""JSON from callers: one meaning for every parser, or a refusal."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from server.errors import BadCall

_LONG = re.compile(rb"[0-9]{19}")
_MOST_DIGITS = 20  # of a 64-bit number, and its sign


def read_json(content: bytes) -> Any:
    """Raises BadCall for what parsers read in different ways, or some do not read at all: another
    encoding than UTF-8, a byte order mark, a name twice in one object, NaN, numbers beyond 64 bits,
    nesting without end.

    Half surrogates are let through: they are the fault of one input, not of a call.
    """
    # asked for each number, so only where there is such a long one
    numbers: dict[str, Any] = {"parse_int": _whole} if _LONG.search(content) else {}
    try:
        return json.loads(
            content.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            **numbers,
        )
    except UnicodeDecodeError:
        raise BadCall("The body is malformed JSON: it is not UTF-8.") from None
    except RecursionError:
        raise BadCall("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise BadCall(f"The body is malformed JSON: {error}.") from None


def read_json_text(content: bytes) -> Any:
    """The same for what is going to be stored: every string in it is text. Raises BadCall."""
    value = read_json(content)
    if rb"\ud" in content.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadCall(
                "The body holds an unpaired surrogate (\\ud800 to \\udfff), which is no character."
            ) from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadCall(f"The body names {twice[:80]!r} twice in one object.")
    return found


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) <= _MOST_DIGITS else 2**64
    if not -(2**63) <= value < 2**64:
        raise BadCall(f"The number {digits[:40]} is out of range.")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadCall(f"The number {digits[:40]} is out of range.")
    return value


def _refuse(name: str) -> None:
    raise BadCall(f"The body is malformed JSON: {name} is not JSON.")
