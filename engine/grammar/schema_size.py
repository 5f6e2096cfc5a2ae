"""Refuses JSON schemas that would take too long to compile.

llguidance enumerates the remainders of `multipleOf`, and the states of patterns that must all match
multiply: a schema of a thousand characters can take hours and all memory, and a thread cannot be
stopped. llguidance's own limits bound neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

from engine.errors import BadRow

#: of all multiples of a schema together, counted in their last decimal: half a second
_MOST_REMAINDERS = 50_000
#: where a schema says more than once what one value must match
_MOST_PATTERNS = 8
_PATTERNS = ("pattern", "patternProperties", "format")
_ALTERNATIVES = ("anyOf", "oneOf", "$ref")
_NOTES = {"$defs", "definitions", "title", "description", "default", "examples", "$schema", "$id"}


def check_size(schema: Mapping[str, Any]) -> None:
    """Raises BadRow."""
    parts = list(_parts(schema))
    if _remainders(parts) > _MOST_REMAINDERS:
        raise BadRow(
            "the schema's multipleOf have no common multiple up to "
            f"{_MOST_REMAINDERS} of their last decimal"
        )
    num_patterns = sum(map(_num_patterns, parts))
    if num_patterns > _MOST_PATTERNS and any(map(_joins, parts)):
        raise BadRow(
            f"the schema has {num_patterns} patterns and formats; where some must match at once, "
            f"it may have {_MOST_PATTERNS} at most"
        )


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in it, however deep."""
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            yield value
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _num_patterns(part: Mapping[str, Any]) -> int:
    values = [part[name] for name in _PATTERNS if name in part]
    return sum(len(value) if isinstance(value, Mapping) else 1 for value in values)


def _joins(part: Mapping[str, Any]) -> bool:
    """Whether one value must match several things that it says."""
    together = part.get("allOf", [])
    num_constraints = len(together) if isinstance(together, list) else 1
    num_constraints += sum(name in part for name in _ALTERNATIVES)
    return num_constraints + bool(part.keys() - _NOTES - {"allOf", *_ALTERNATIVES}) > 1


def _remainders(parts: list[Mapping[str, Any]]) -> int:
    """Of the least number that all multiples divide, or of one that is too large already."""
    multiples = [Decimal(str(part["multipleOf"])) for part in parts if _has_multiple(part)]
    exact = {value for value in multiples if value.is_finite() and value}
    if all(map(_only_moves_the_point, exact)):
        return 1
    places, number = max(map(_places, exact)), 1
    for value in exact:
        number = lcm(number, int(Fraction(value) * 10**places))
        if number > _MOST_REMAINDERS:
            break
    return number


def _has_multiple(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("multipleOf"), int | float)


def _only_moves_the_point(value: Decimal) -> bool:
    return value.as_tuple().digits[0] == 1 and not any(value.as_tuple().digits[1:])


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
