"""Translates what callers send (a schema, a pattern, a choice) into llguidance's JSON.

Only translates; `Grammars` decides whether it compiles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from llguidance import LLMatcher

from engine.errors import BadRow
from engine.grammar.schema_size import check_size


def grammar_of(constraint: Mapping[str, Any]) -> str:
    """`constraint` has one of json_schema, json_object (True), regex, choice. Raises BadRow."""
    if len(constraint) != 1 or (kind := next(iter(constraint))) not in _WORDINGS:
        names = ", ".join(map(str, constraint)) or "nothing"
        raise BadRow(f"a grammar is one of {', '.join(_WORDINGS)}, and {names} was given")
    return _WORDINGS[kind](constraint[kind])


def _json_schema(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        raise BadRow(f"json_schema is an object, and {type(schema).__name__} was given")
    check_size(schema)
    # JSON on one line: small models write white space without end wherever it is allowed
    return LLMatcher.grammar_from_json_schema(
        json.dumps(schema),
        defaults={"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"},
    )


def _json_object(value: Any) -> str:
    if value is not True:
        raise BadRow(f"json_object is true or left out, and {value!r} was given")
    return _json_schema({"type": "object"})


def _regex(pattern: Any) -> str:
    if not isinstance(pattern, str):
        raise BadRow(f"regex is a text, and {type(pattern).__name__} was given")
    return LLMatcher.grammar_from_regex(pattern)


def _choice(texts: Any) -> str:
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise BadRow("choice is a list of at least one text, and something else was given")
    lark = " | ".join(json.dumps(text) for text in texts)
    return json.dumps({"grammars": [{"lark_grammar": f"start: {lark}"}]})


_WORDINGS: dict[str, Callable[[Any], str]] = {
    "json_schema": _json_schema, "json_object": _json_object, "regex": _regex, "choice": _choice,
}  # fmt: skip
