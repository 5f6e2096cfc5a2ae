"""Reading the parameters of a predict call, the same for both transports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import BadCall
from server.service.sampling_params import NAMES as WRITING_NAMES
from server.service.sampling_params import parse_sampling_params
from server.service.values import Parameters, Part, Priority

NAMES = (
    "raw_scores", "truncate", "priority", "normalize", "dimensions", "max_tokens", "compose",
    *WRITING_NAMES,
)  # fmt: skip
_MAX_PARTS = 8
_MAX_WEIGHT = 100.0
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
        max_tokens=_count(given, "max_tokens"),
        wanted=parse_sampling_params(given) if set(given) & set(WRITING_NAMES) else None,
        compose=_parts(given.get("compose")),
    )


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadCall(f"The parameter {name} must be true or false.")
    return value


def _count(given: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 1; as in JSON, 3.0 is one."""
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


def _parts(given: object) -> tuple[Part, ...]:
    """A list of refs with weights."""
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise BadCall("compose must be a list of objects with a ref and a weight.")
    if len(given) > _MAX_PARTS:
        raise BadCall(f"compose names {len(given)} adapters; at most {_MAX_PARTS} act together.")
    return tuple(_part(each) for each in given)


def _part(given: object) -> Part:
    if not isinstance(given, Mapping) or set(given) - {"ref", "weight"}:
        raise BadCall("Each entry of compose is an object with a ref and a weight.")
    ref, weight = given.get("ref"), given.get("weight", 1.0)
    if not isinstance(ref, str) or not ref:
        raise BadCall("Each entry of compose names an adapter by its ref.")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise BadCall(f"The weight of {ref[:64]!r} must be a number.")
    if not -_MAX_WEIGHT <= weight <= _MAX_WEIGHT:
        raise BadCall(
            f"The weight of {ref[:64]!r} is {weight}; "
            f"it must be from {-_MAX_WEIGHT:g} to {_MAX_WEIGHT:g}."
        )
    return Part(ref=ref, weight=float(weight))
