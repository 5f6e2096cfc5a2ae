"""Reading the parameters of a predict call, the same for both transports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import BadCall
from server.service.values import Parameters, Priority

NAMES = ("raw_scores", "truncate", "priority", "normalize", "dimensions")
_MAX_COUNT = 10**6
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
        normalize=_flag(given, "normalize") if "normalize" in given else None,
        dimensions=_count(given, "dimensions"),
    )


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadCall(f"The parameter {name} must be true or false.")
    return value


def _count(given: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 1; protobuf brings it as a double."""
    value = given.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 1 <= value <= _MAX_COUNT or value != int(value):
        raise BadCall(f"The parameter {name} must be a whole number from 1.")
    return int(value)


def _priority(value: object) -> Priority:
    if not isinstance(value, str) or value not in PRIORITIES:
        shown = repr(value)[:64]
        raise BadCall(f"priority is {shown}; it must be one of {', '.join(PRIORITIES)}.")
    return PRIORITIES[value]
