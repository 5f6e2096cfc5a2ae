"""Converts arguments to protobuf fields and checks them; a bad argument is a Refused naming it.

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
#: a Struct carries doubles, which represent no larger integer exactly
_MAX_WHOLE = 2**53
_MAX_SHOWN_CHARS = 40
_MAX_SHOWN_BITS = 128
#: gRPC cannot express a longer deadline, so a longer one is none
_LONGEST_S = 1e9
#: sequences that count as one value
_SCALARS = (str, bytes, bytearray, memoryview)


def describe(value: object) -> str:
    """The value's type, and the value itself if it is short: `a float (nan)`."""
    if value is None:
        return "None"
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    is_printable = isinstance(value, str | bytes | float) or (
        isinstance(value, int)
        and value.bit_length() < _MAX_SHOWN_BITS  # Python refuses to print longer ones
    )
    text = repr(value) if is_printable else ""
    return (
        f"{article} {name} ({text})" if 0 < len(text) <= _MAX_SHOWN_CHARS else f"{article} {name}"
    )


def build_message(kind: type[M], /, **fields: Any) -> M:
    """A message with these fields; a field that is None is left out. Raises Refused."""
    for name, value in fields.items():
        if name not in kind.DESCRIPTOR.fields_by_name:
            known = ", ".join(sorted(kind.DESCRIPTOR.fields_by_name))
            raise Refused(f"There is no option {name!r} here; the options are: {known}.")
        if value is not None and hasattr(getattr(kind(), name), "append"):
            fields[name] = to_list(name, value)
    try:
        return kind(**fields)
    except (TypeError, ValueError, AttributeError):
        raise Refused(_describe_misfit(kind, fields)) from None


def to_list(name: str, values: Any) -> list[Any]:
    """The values in order. A single text, bytes, a set, a mapping or a table is not a list."""
    if isinstance(values, Sequence | Iterator) and not isinstance(values, _SCALARS):
        return list(values)
    if getattr(values, "ndim", None) == 1 and hasattr(values, "tolist"):
        return list(values.tolist())  # an array or a column of a table
    raise Refused(f"{name} must be a list, not {describe(values)}.")


def to_dict(name: str, values: Any) -> dict[Any, Any]:
    if not isinstance(values, Mapping):
        raise Refused(f"{name} must be a mapping of names to values, not {describe(values)}.")
    return dict(values)


def to_timeout(name: str, value: object) -> float | None:
    """The deadline in seconds; None and infinity mean no deadline."""
    if value is None:
        return None
    if isinstance(value, Real) and not isinstance(value, bool):
        duration = _to_float(value)
        if not isnan(duration):
            return duration if duration <= _LONGEST_S else None
    raise Refused(f"{name} must be a number of seconds, not {describe(value)}.")


def to_path(name: str, value: object) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise Refused(f"{name} must be a path, not {describe(value)}.")
    return Path(value)


def to_struct(name: str, values: Any) -> Struct:
    """A Struct of plain JSON values."""
    struct = Struct()
    struct.update(_to_json(name, to_dict(name, values)))
    return struct


def check_encodable(where: str, text: str) -> str:
    """The text if UTF-8 can encode it; a lone surrogate is not a character. Raises Refused."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(f"{where} contains a lone surrogate, which is not a character.") from None
    return text


def _to_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf


def _to_json(where: str, value: object) -> Any:
    """The value as plain JSON: integer keys become strings, NumPy scalars become numbers."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_encodable(where, value)
    if isinstance(value, Mapping):
        return {_to_name(where, key): _to_json(f"{where}.{key}", v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(f"{where}[{n}]", item) for n, item in enumerate(value)]
    if isinstance(value, Integral | Real):
        return _to_number(where, value)
    raise Refused(f"{where} is {describe(value)}; it must be a plain JSON value.")


def _to_name(where: str, key: object) -> str:
    if isinstance(key, str):
        return check_encodable(where, key)
    if isinstance(key, Integral) and not isinstance(key, bool):
        return str(int(key))
    raise Refused(f"{where} has {describe(key)} as a key; keys are strings.")


def _to_number(where: str, value: Integral | Real) -> int | float:
    if isinstance(value, Integral):
        if abs(int(value)) > _MAX_WHOLE:
            raise Refused(
                f"{where} is {describe(value)}; integers of at most 2^53 can be sent exactly."
            )
        return int(value)
    if not isfinite(value):
        raise Refused(f"{where} is {float(value)}; it must be a finite number.")
    return float(value)


def _describe_misfit(kind: type[Message], fields: Mapping[str, Any]) -> str:
    """Which of the fields the message does not accept, and why."""
    for name, value in fields.items():
        try:
            kind(**{name: value})
        except (TypeError, ValueError, AttributeError) as error:
            return f"{name} cannot be {describe(value)}: {error}."
    return f"{kind.DESCRIPTOR.name} does not accept these values together."
