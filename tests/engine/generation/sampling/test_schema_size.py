"""Schemas that would not compile in a lifetime are refused before the compiler sees them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import BadRow
from engine.grammar import grammar_of


def patterned(count: int) -> list[dict[str, Any]]:
    return [{"type": "string", "pattern": f"^(a|b)*a(a|b){{{n}}}"} for n in range(2, 2 + count)]


def nested(patterns: list[dict[str, Any]]) -> dict[str, Any]:
    """Each beside alternatives of which the next is the only one."""
    first, *rest = patterns
    return first | {"anyOf": [nested(rest)]} if rest else first


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 2**31 - 1},
        {"type": "number", "multipleOf": 0.99991},
        {"allOf": [{"multipleOf": 997}, {"multipleOf": 991}]},
        {"properties": {f"p{n}": {"type": "integer", "multipleOf": n} for n in range(2, 99)}},
        {"type": "number", "multipleOf": 10**400 + 1},
        {"type": "integer", "multipleOf": 9_973_000},
        {"allOf": [{"multipleOf": 1e-9}, {"multipleOf": 9973}]},
    ],
    ids=["prime", "decimals", "together", "beside each other", "long", "thousands", "places"],
)
def test_multiples_with_too_many_remainders_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadRow, match="multipleOf"):
        grammar_of({"json_schema": schema})


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": patterned(24)},
        nested(patterned(24)),
        {"$ref": "#/$defs/a", "pattern": "a+", "$defs": {"a": {"allOf": patterned(24)}}},
    ],
    ids=["all", "alternatives", "reference"],
)
def test_too_many_patterns_that_must_match_at_once_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadRow, match="patterns and formats; where some must match at once"):
        grammar_of({"json_schema": schema})


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{m}": {"multipleOf": m} for m in (0.01, 0.5, 7, 60)}},
        {"properties": {f"p{m}": {"multipleOf": m} for m in (0.01, 1000)}},
        {"properties": {f"p{n}": pattern for n, pattern in enumerate(patterned(40))}},
        {
            "properties": {f"p{n}": {"$ref": "#/$defs/d", "description": "when"} for n in range(9)},
            "$defs": {"d": {"anyOf": patterned(40)}, "e": {"allOf": [{"$ref": "#/$defs/d"}]}},
        },
        {"allOf": patterned(8)},
        {"properties": {"multipleOf": {"type": "string"}, "allOf": {"type": "null"}}},
    ],
    ids=["prices", "powers of ten", "one each", "references", "some", "names"],
)
def test_schemas_that_people_write_are_not(schema: dict[str, Any]) -> None:
    assert grammar_of({"json_schema": schema})
