"""What callers pass, checked before it becomes a message: each misfit is a Refused that names it.

Knows no call and no input of a task.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from math import inf, isfinite, isnan
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from adapterd.errors import Refused
from adapterd.v1.private_pool import Struct

M = TypeVar("M", bound=Message)
#: a Struct carries doubles, which hold no larger whole number exactly
_MAX_WHOLE = 2**53
_SHOWN_CHARS = 40
_SHOWN_BITS = 128
#: more than a deadline can say is without end
_LONGEST_S = 1e9
#: sequences that are meant as one value
_ONE = (str, bytes, bytearray, memoryview)


def described(value: object) -> str:
    """The value's type, with the value where it is short: `a float (nan)`."""
    if value is None:
        return "None"
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    is_shown = isinstance(value, str | bytes | float) or (
        isinstance(value, int) and value.bit_length() < _SHOWN_BITS  # Python writes no longer ones
    )
    text = repr(value) if is_shown else ""
    return f"{article} {name} ({text})" if 0 < len(text) <= _SHOWN_CHARS else f"{article} {name}"


def build(kind: type[M], /, **fields: Any) -> M:
    """A message of these fields; None leaves one out. Raises Refused."""
    for name, value in fields.items():
        if name not in kind.DESCRIPTOR.fields_by_name:
            known = ", ".join(sorted(kind.DESCRIPTOR.fields_by_name))
            raise Refused(f"There is no option {name!r} here; there are: {known}.")
        if value is not None and hasattr(getattr(kind(), name), "append"):
            fields[name] = listed(name, value)
    try:
        return kind(**fields)
    except (TypeError, ValueError, AttributeError):
        raise Refused(_misfit(kind, fields)) from None


def listed(name: str, values: Any) -> list[Any]:
    """The values in their order. One text, bytes, a set, a mapping or a table is no list."""
    if isinstance(values, Sequence | Iterator) and not isinstance(values, _ONE):
        return list(values)
    if getattr(values, "ndim", None) == 1 and hasattr(values, "tolist"):
        return list(values.tolist())  # an array or a column of a table
    raise Refused(f"{name} must be a list, not {described(values)}.")


def named(name: str, values: Any) -> dict[Any, Any]:
    if not isinstance(values, Mapping):
        raise Refused(f"{name} must be a mapping of names to values, not {described(values)}.")
    return dict(values)


def seconds(name: str, value: object) -> float | None:
    """None is without end, and so is infinity."""
    if value is None:
        return None
    if isinstance(value, Real) and not isinstance(value, bool):
        given = _as_float(value)
        if not isnan(given):
            return given if given <= _LONGEST_S else None
    raise Refused(f"{name} must be a number of seconds, not {described(value)}.")


def file_path(name: str, value: object) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise Refused(f"{name} must be a path, not {described(value)}.")
    return Path(value)


def to_struct(name: str, values: Any) -> Struct:
    """Plain JSON values by their names."""
    struct = Struct()
    struct.update(_plain(name, named(name, values)))
    return struct


def encodable(where: str, text: str) -> str:
    """The text, if it can be sent. Half a surrogate pair is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(f"{where} holds a lone surrogate, which is no character.") from None
    return text


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf


def _plain(where: str, value: object) -> Any:
    """The value as JSON has it: whole numbers as names become texts, NumPy's numbers numbers."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encodable(where, value)
    if isinstance(value, Mapping):
        return {_name(where, key): _plain(f"{where}.{key}", each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{where}[{n}]", each) for n, each in enumerate(value)]
    if isinstance(value, Integral | Real):
        return _number(where, value)
    raise Refused(f"{where} is {described(value)}; it must be a plain JSON value.")


def _name(where: str, key: object) -> str:
    if isinstance(key, str):
        return encodable(where, key)
    if isinstance(key, Integral) and not isinstance(key, bool):
        return str(int(key))
    raise Refused(f"{where} has {described(key)} as a name; names are texts.")


def _number(where: str, value: Integral | Real) -> int | float:
    if isinstance(value, Integral):
        if abs(int(value)) > _MAX_WHOLE:
            raise Refused(f"{where} is {described(value)}; at most 2^53 can be sent exactly.")
        return int(value)
    if not isfinite(value):
        raise Refused(f"{where} is {float(value)}; it must be a finite number.")
    return float(value)


def _misfit(kind: type[Message], fields: Mapping[str, Any]) -> str:
    """Which of the fields the message does not take."""
    for name, value in fields.items():
        try:
            kind(**{name: value})
        except (TypeError, ValueError, AttributeError) as error:
            return f"{name} cannot be {described(value)}: {error}."
    return f"{kind.DESCRIPTOR.name} does not take these values together."
