"""Reading the parameters of a predict call, the same for both transports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import BadCall
from server.service.values import Parameters, Priority

NAMES = ("raw_scores", "truncate", "priority", "max_tokens")
#: as callers write them
PRIORITIES = {priority.name.lower(): priority for priority in Priority}


def parameters_of(given: Mapping[str, Any]) -> Parameters:
    """Parameters by name, as either transport got them.

    Raises BadCall for an unknown name, another type or an unknown priority.
    """
    for name in given:
        if name not in NAMES:
            raise BadCall(f"There is no parameter {name[:64]!r}; there are {', '.join(NAMES)}.")
    return Parameters(
        raw_scores=_flag(given, "raw_scores"),
        truncate=_flag(given, "truncate"),
        priority=_priority(given.get("priority", "interactive")),
        max_tokens=_count(given, "max_tokens"),
    )


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadCall(f"The parameter {name} must be true or false.")
    return value


def _count(given: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 1; protobuf's Struct has them as floats."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise BadCall(f"The parameter {name} must be a whole number.")
    if value < 1:
        raise BadCall(f"{name} is {int(value)}; it must be 1 or more.")
    return int(value)


def _priority(value: object) -> Priority:
    if not isinstance(value, str) or value not in PRIORITIES:
        shown = repr(value)[:64]
        raise BadCall(f"priority is {shown}; it must be one of {', '.join(PRIORITIES)}.")
    return PRIORITIES[value]
