"""JSON text to values, with what goes wrong as people look for it in a file. Knows no format."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

#: the first that fits
_NAMES = (
    (bool, "a boolean"),
    (str, "a string"),
    (int | float, "a number"),
    (list, "an array"),
    (dict, "an object"),
    (object, "null"),
)
_SPACE = re.compile(r"[ \t\n\r]*")
_MAX_KEY = 64


def parse_json(text: str) -> Any:
    """Raises ValueError with the reason. A key that an object has twice is one: `json` would keep
    the last of its values and say nothing.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _add_place(error) from None


def parse_elements(text: str) -> Iterator[tuple[int, Any]]:
    """The elements of an array, one at a time, with the places where they begin. Raises ValueError
    with the reason, possibly after some elements.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    at = _skip_space(text, text.index("[") + 1)
    is_over = text[at : at + 1] == "]"
    while not is_over:
        try:
            value, end = decoder.raw_decode(text, at)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise _add_place(error) from None
        yield at, value
        at = _skip_space(text, end)
        if (mark := text[at : at + 1]) not in {",", "]"}:
            raise _add_place(json.JSONDecodeError("Expecting ',' delimiter or ']'", text, at))
        is_over = mark == "]"
        if not is_over:
            at = _skip_space(text, at + 1)
    if text[at + 1 :].strip():
        raise _add_place(json.JSONDecodeError("Extra data", text, _skip_space(text, at + 1)))


def json_type(value: Any) -> str:
    """What JSON calls a value: `a string`."""
    return next(name for types, name in _NAMES if isinstance(value, types))


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None, "the pattern matches the empty string"
    return match.end()


def _add_place(error: json.JSONDecodeError) -> ValueError:
    line = f"line {error.lineno}, " if error.lineno > 1 else ""
    return ValueError(f"{error.msg} at {line}character {error.colno}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"it has the key {quote_key(twice)} more than once")
    return fields


def quote_key(name: str) -> str:
    """A key in a sentence: a damaged file has keys of any length."""
    return repr(name if len(name) <= _MAX_KEY else f"{name[: _MAX_KEY - 1]}…")
