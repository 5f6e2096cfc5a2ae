"""JSON from callers. Whatever parsers interpret in different ways is refused."""

from __future__ import annotations

import json
import math
from typing import Any

from server.errors import BadCall, BadParameter


def read_json(content: bytes) -> Any:
    """Raises BadCall for anything that parsers interpret in different ways or refuse: another
    encoding than UTF-8, a byte order mark, a name twice in one object, NaN, infinities, too deep
    nesting.

    Half surrogates pass: they are the fault of one input, not of the call.
    """
    try:
        return json.loads(
            content.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise BadCall("The body is malformed JSON: it is not UTF-8.") from None
    except RecursionError:
        raise BadCall("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise BadCall(f"The body is malformed JSON: {error}.") from None
    except ValueError as error:  # for a number with thousands of digits
        raise BadCall("A number in the body has too many digits.") from error


def read_json_text(content: bytes) -> Any:
    """The same for values that will be stored: also checks that every string is text and that every
    whole number has at most 64 bits. Raises BadCall, or BadParameter for a field that has not.
    """
    value = read_json(content)
    try:
        for name, item in value.items() if isinstance(value, dict) else ():
            _check_storable(name, name)
            _check_storable(item, name)
    except RecursionError:
        raise BadCall("The body is nested too deeply.") from None
    return value


def _check_storable(value: Any, param: str) -> None:
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadParameter(
                f"{param} holds an unpaired surrogate (\\ud800 to \\udfff), which is no character.",
                param=param,
            )
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_storable(name, param)
            _check_storable(item, param)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item, param)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadParameter(f"{param} holds a whole number of more than 64 bits.", param=param)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadCall(f"The body names {twice[:80]!r} twice in one object.")
    return fields


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadCall(f"The number {digits[:40]} is out of range.")
    return value


def _refuse(name: str) -> None:
    raise BadCall(f"The body is malformed JSON: {name} is not JSON.")
