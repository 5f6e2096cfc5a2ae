"""The parameters of a predict call, parsed the same way for HTTP and gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import BadCall
from server.service.sampling_params import NAMES as SAMPLING_NAMES
from server.service.sampling_params import SamplingParams, parse_sampling_params
from server.service.values import Parameters, Part, Priority

NAMES = (
    "raw_scores",
    "truncate",
    "priority",
    "normalize",
    "dimensions",
    "max_tokens",
    "compose",
    *SAMPLING_NAMES,
)
_MAX_PARTS = 8
_MAX_WEIGHT = 100.0
#: by the names that callers use
PRIORITIES = {priority.name.lower(): priority for priority in Priority}


def parse_parameters(parameters: Mapping[str, Any]) -> Parameters:
    """Raises BadCall for an unknown name, another type or a value out of bounds."""
    if not parameters:
        return Parameters()
    for name in parameters:
        if name not in NAMES:
            raise BadCall(f"There is no parameter {name[:64]!r}; there are {', '.join(NAMES)}.")
    return Parameters(
        raw_scores=_flag(parameters, "raw_scores"),
        truncate=_flag(parameters, "truncate"),
        priority=_priority(parameters.get("priority", "interactive")),
        normalize=_flag(parameters, "normalize") if "normalize" in parameters else None,
        dimensions=_count(parameters, "dimensions"),
        max_tokens=_count(parameters, "max_tokens"),
        sampling_params=_sampling_params(parameters),
        compose=_parts(parameters.get("compose")),
    )


def _sampling_params(parameters: Mapping[str, Any]) -> SamplingParams | None:
    if parameters.keys().isdisjoint(SAMPLING_NAMES):
        return None
    return parse_sampling_params(parameters)


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadCall(f"The parameter {name} must be true or false.")
    return value


def _count(parameters: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 1. As in JSON, 3.0 is a whole number."""
    value = parameters.get(name)
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


def _parts(entries: object) -> tuple[Part, ...]:
    """The adapters of `compose`: a list of refs with weights."""
    if entries is None:
        return ()
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise BadCall("compose must be a list of objects with a ref and a weight.")
    if len(entries) > _MAX_PARTS:
        raise BadCall(f"compose names {len(entries)} adapters; at most {_MAX_PARTS} act together.")
    return tuple(_part(entry) for entry in entries)


def _part(entry: object) -> Part:
    if not isinstance(entry, Mapping) or set(entry) - {"ref", "weight"}:
        raise BadCall("Each entry of compose is an object with a ref and a weight.")
    ref, weight = entry.get("ref"), entry.get("weight", 1.0)
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
