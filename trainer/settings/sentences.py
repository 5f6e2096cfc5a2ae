"""A validation error of the settings as one sentence: which setting, its value, and what it may be.

Knows pydantic's errors, and no setting but by the model that was validated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from trainer.errors import BadSetting

#: what a value must be, by pydantic's name of the error
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object of names and their values",
    "model_type": "an object such as {'trials': 8}",
    "tuple_type": "a list with at least one entry",
}
_OUT_OF_RANGE = ("greater_than_equal", "less_than_equal")


def bad_setting(model: type[BaseModel], error: ValidationError) -> BadSetting:
    """The first problem, and an unknown name before all others."""
    problems = error.errors(include_url=False)
    problem = min(problems, key=lambda detail: detail["type"] != "extra_forbidden")
    return BadSetting(f"{_sentence(model, problem)}.", name=str(problem["loc"][0]))


def bounds(field: FieldInfo) -> tuple[float, float] | None:
    """The smallest and the largest number that a setting, or every value of its object, may be."""
    metadata = [*field.metadata, *_nested_metadata(field.annotation)]
    low = next((each.ge for each in metadata if hasattr(each, "ge")), None)
    high = next((each.le for each in metadata if hasattr(each, "le")), None)
    return None if low is None or high is None else (low, high)


def _nested_metadata(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        if isinstance(part, FieldInfo):
            yield from part.metadata
        yield part
        yield from _nested_metadata(part)


def _sentence(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    subject, value, code = _subject(problem["loc"]), problem["input"], problem["type"]
    if code == "extra_forbidden":
        return _unknown_name(model, problem["loc"])
    if code == "value_error":
        return f"{subject} {problem['ctx']['error']}"
    if code == "literal_error":
        choices = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"{subject} is {value!r}; it must be one of {choices}"
    if code in _OUT_OF_RANGE and (span := bounds(_field(model, problem["loc"]))):
        return f"{subject} is {value!r}; it must be between {span[0]:g} and {span[1]:g}"
    if code == "greater_than":
        return f"{subject} is {value!r}; it must be above {problem['ctx']['gt']:g}"
    if code == "too_short":
        code = "dict_type" if isinstance(value, dict) else "tuple_type"
    if code in _EXPECTED:
        return f"{subject} must be {_EXPECTED[code]}, not {value!r}"
    if code.startswith("string_"):
        return f"{subject} must hold names only, not {value!r}"
    return f"{subject}: {problem['msg']}"


def _subject(location: tuple[int | str, ...]) -> str:
    """`rank`, `rank_pattern of query`, or `search.trials`."""
    name, *path = location
    if name == "search":
        return ".".join(str(part) for part in location)
    # what lies between the two is the branch of a union
    return f"{name} of {path[-1]}" if path and isinstance(path[-1], str) else str(name)


def _field(model: type[BaseModel], location: tuple[int | str, ...]) -> FieldInfo:
    field = model.model_fields[str(location[0])]
    inner = _inner_model(field)
    return inner.model_fields[str(location[1])] if inner else field


def _inner_model(field: FieldInfo) -> type[BaseModel] | None:
    models = (part for part in get_args(field.annotation) if isinstance(part, type))
    return next((part for part in models if issubclass(part, BaseModel)), None)


def _unknown_name(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    *outer, name = location
    if outer and (inner := _inner_model(model.model_fields[str(outer[0])])):
        return f"{outer[0]} has no {name!r}; it has {', '.join(inner.model_fields)}"
    near = get_close_matches(str(name), model.model_fields, n=1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    known = ", ".join(model.model_fields)
    return f"There is no setting {name!r}{hint} {'There' if near else 'there'} are: {known}"
