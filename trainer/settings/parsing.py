"""How the value of one setting is read from JSON and what it may be, by the setting's field.

Knows no setting by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from trainer.errors import BadSetting

#: of whole numbers that messages and databases hold
_FIRST_TOO_LARGE = 2**63


def read_value(setting: Field[Any], value: Any) -> Any:
    """Raises BadSetting for what is of another kind than the setting."""
    name, kind = setting.name, str(setting.type)
    if value is None and kind.endswith("| None"):
        return None
    if read := setting.metadata.get("read"):
        return read(value)
    if kind.startswith("dict"):
        return _read_object(name, kind, value)
    if kind.startswith("str"):
        return _read_word(setting, value)
    if kind.startswith("tuple") and not ("| int" in kind and isinstance(value, int | float)):
        return _read_tuple(name, int if "int" in kind else str, value, setting.metadata)
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise BadSetting(f"{name} must be true or false, not {value!r}.", name=name)
    return _read_number(name, whole="int" in kind, value=value)


def _read_word(setting: Field[Any], value: Any) -> str:
    if isinstance(value, str):
        return value
    choices = ", ".join(setting.metadata.get("choices", ()))
    raise BadSetting(
        f"{setting.name} is {value!r}; it must be one of {choices}.", name=setting.name
    )


def check_value(setting: Field[Any], value: Any) -> None:
    """Raises BadSetting for what is out of range; of an object every value is to be in it."""
    name, metadata = setting.name, setting.metadata
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            _check_range(f"{name} of {key}", each, metadata, name)
        return
    if (choices := metadata.get("choices")) and value not in choices:
        raise BadSetting(f"{name} is {value!r}; it must be one of {', '.join(choices)}.", name=name)
    _check_range(name, value, metadata, name)


def _read_number(name: str, *, whole: bool, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise BadSetting(f"{name} must be a finite number, not {value!r}.", name=name)
    if not whole:
        return float(value)
    # numbers arrive as doubles from a protobuf Struct, so 3.0 is the number 3
    if value != int(value):
        raise BadSetting(f"{name} must be a whole number, not {value!r}.", name=name)
    if not -_FIRST_TOO_LARGE <= value < _FIRST_TOO_LARGE:
        raise BadSetting(f"{name} is {value!r}, which is no number of 64 bits.", name=name)
    return int(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON has whole numbers that no double holds
        return False


def _read_object(name: str, kind: str, value: Any) -> dict[str, int | float] | str:
    """Names and numbers above 0; or the one word that the setting knows instead."""
    word = "'balanced' or " if "| str" in kind else ""
    if word and value == "balanced":
        return "balanced"
    if not isinstance(value, Mapping) or not value:
        raise BadSetting(
            f"{name} must be {word}an object of names and numbers, not {value!r}.", name=name
        )
    whole = "[str, int]" in kind
    numbers = {str(key): _read_number(name, whole=whole, value=raw) for key, raw in value.items()}
    if bad := [key for key, number in numbers.items() if number <= 0]:
        raise BadSetting(
            f"{name} gives {bad[0]!r} {numbers[bad[0]]:g}; it must be a positive number.", name=name
        )
    return numbers


def _read_tuple(name: str, kind: type, value: Any, metadata: Mapping[str, Any]) -> tuple[Any, ...]:
    may_be_empty = metadata.get("may_be_empty", False)
    if not isinstance(value, list | tuple) or not (value or may_be_empty):
        least = "" if may_be_empty else " with at least one entry"
        raise BadSetting(f"{name} must be a list{least}, not {value!r}.", name=name)
    if kind is int:
        return tuple(_read_number(name, whole=True, value=each) for each in value)
    if not all(isinstance(each, str) and each for each in value):
        raise BadSetting(f"{name} must hold names only, not {value!r}.", name=name)
    return tuple(value)


def _check_range(what: str, value: Any, metadata: Mapping[str, Any], name: str) -> None:
    low, high = metadata.get("low"), metadata.get("high")
    if low is not None and high is not None and not low <= value <= high:
        raise BadSetting(
            f"{what} is {value!r}; it must be between {low:g} and {high:g}.", name=name
        )
