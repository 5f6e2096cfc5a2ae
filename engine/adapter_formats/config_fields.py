"""Reads fields of an uploaded configuration by type.

A value of another type raises BadAdapter with field and value. Knows no meaning of a field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from engine.errors import BadAdapter

_MOST_SHOWN = 60


def whole(config: Mapping[str, Any], name: str, usual: int) -> int:
    value = config.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(name, value, "a whole number")
    return value


def number(config: Mapping[str, Any], name: str, usual: float) -> float:
    value = config.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(name, value, "a number")
    return float(value)


def flag(config: Mapping[str, Any], name: str) -> bool:
    """False for a missing field or null."""
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(name, value, "true or false")
    return bool(value)


def text(config: Mapping[str, Any], name: str) -> str:
    """Empty for a missing field or null."""
    value = config.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong(name, value, "a text")
    return value or ""


def names(config: Mapping[str, Any], name: str) -> list[str] | str | None:
    """A list of names, or a string, which PEFT reads as a regular expression."""
    value = config.get(name)
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise wrong(name, value, "a list of names")
    return value


def indices(config: Mapping[str, Any], name: str) -> list[int]:
    """A whole number or a list of them, as a list; empty for a missing field."""
    value = config.get(name)
    if value is None:
        return []
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in listed):
        raise wrong(name, value, "whole numbers")
    return listed


def wrong(name: str, value: object, needed: str) -> BadAdapter:
    shown = json.dumps(value, ensure_ascii=False, default=repr)
    shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
    return BadAdapter(f"adapter_config.json gives {name} as {shown}; it must be {needed}")
