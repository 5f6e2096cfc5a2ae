"""How a text is wanted: the sampling parameters of every transport, read in this one place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadRow
from engine.grammar import grammar_of
from engine.port import Sampling
from engine.port.sampling_limits import check_sampling
from server.errors import BadParameter

_MOST_STOPS = 16
_LONGEST_STOP = 128
_TOKEN = re.compile(r"[0-9]{1,10}")
#: beyond it, numbers do not fit what crosses to the engine
_LARGEST = 2**63
#: parameters that say what the text must match; a call gives one of them at most
_FORMS = ("response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """`stop` are strings that end a text and are not part of it; None for a seed: any."""

    sampling: Sampling = field(default_factory=Sampling)
    seed: int | None = None
    stop: tuple[str, ...] = ()


def parse_sampling_params(
    given: Mapping[str, Any], *, usual: Mapping[str, float] | None = None
) -> SamplingParams:
    """From parameters by name; None is as if left out.

    `usual` are values of what is left out. Raises BadParameter.
    """
    said = {name: value for name, value in given.items() if value is not None}
    fields = {name: read(said[name], name) for name, read in _FIELDS.items() if name in said}
    sampling = Sampling(
        **{**(usual or {}), **fields},
        stop_ids=_tokens(said.get("stop_token_ids", []), "stop_token_ids"),
        grammar=_grammar(said),
    )
    try:
        check_sampling(sampling)
    except BadRow as error:
        raise _refused(error) from None
    return SamplingParams(
        sampling=sampling, seed=fields.get("seed"), stop=_stops(said.get("stop", []))
    )


def check_sampling_params(
    wanted: SamplingParams, num_words: int, compiles: Callable[[str], None]
) -> None:
    """What only a base's vocabulary decides; compiling takes a while. Raises BadParameter."""
    try:
        check_sampling(wanted.sampling, num_words)
        compiles(wanted.sampling.grammar)
    except BadRow as error:
        raise _refused(error) from None


def _refused(error: BadRow) -> BadParameter:
    """The error names the parameter as callers do."""
    return BadParameter(f"{error}.", param=error.param)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadParameter(f"{name} must be a number.", param=name)
    return float(_short(value, name))


def _whole(value: Any, name: str) -> int:
    """As in JSON, 3.0 is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        raise BadParameter(f"{name} must be a whole number.", param=name)
    return int(_short(int(value), name))


def _short(value: float, name: str) -> float:
    """JSON's whole numbers are as long as one likes, longer than a float or a sentence can be."""
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise BadParameter(f"{name} has too many digits to be a sensible number.", param=name)
    return value


def _top_k(value: Any, name: str) -> int:
    """-1 means all, as vLLM has it."""
    return max(0, number) if (number := _whole(value, name)) >= -1 else number


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise BadParameter(f"{name} must be true or false.", param=name)
    return value


def _biases(value: Any, name: str) -> dict[int, float]:
    if not isinstance(value, Mapping) or not all(map(_TOKEN.fullmatch, value)):
        raise BadParameter(f"{name} must be an object of token ids and numbers.", param=name)
    return {int(key): _number(bias, name) for key, bias in value.items()}


def _tokens(value: Any, name: str) -> list[int]:
    if not isinstance(value, list):
        raise BadParameter(f"{name} must be a list of token ids.", param=name)
    return [_whole(token, name) for token in value]


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise BadParameter("stop must be a string or a list of strings.", param="stop")
    if len(stops) > _MOST_STOPS:
        raise BadParameter(f"stop has {len(stops)} strings; at most {_MOST_STOPS}.", param="stop")
    if not all(0 < len(stop) <= _LONGEST_STOP for stop in stops):
        raise BadParameter(
            f"Each stop string must have from 1 to {_LONGEST_STOP} characters.", param="stop"
        )
    return tuple(stops)


_FIELDS: dict[str, Callable[[Any, str], Any]] = {
    "temperature": _number,
    "top_k": _top_k,
    "top_p": _number,
    "min_p": _number,
    "repetition_penalty": _number,
    "presence_penalty": _number,
    "frequency_penalty": _number,
    "logit_bias": _biases,
    "seed": _whole,
    "logprobs": _whole,
    "ignore_eos": _flag,
}

#: every parameter that says how a text is wanted
NAMES = (*_FIELDS, "stop", "stop_token_ids", *_FORMS)

# ---------------------------------------------------------------- what the text must match


def _grammar(said: Mapping[str, Any]) -> str:
    forms = [name for name in _FORMS if name in said]
    if len(forms) > 1:
        raise BadParameter(
            f"{' and '.join(forms)} all say what the text must match; give one.", param=forms[1]
        )
    if not forms:
        return ""
    name = forms[0]
    try:
        form = _READERS[name](said[name], name)
        return grammar_of(form) if form else ""
    except (BadRow, ValueError, RecursionError) as error:
        raise BadParameter(f"{name}: {error}.", param=name) from None


def _response_format(value: Any, name: str) -> dict[str, Any]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"json_object": True}
    described = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(described, Mapping) or "schema" not in described:
        raise BadParameter(
            "response_format must be an object with the type text, json_object, or json_schema "
            "with a json_schema that holds a schema.",
            param=name,
        )
    return {"json_schema": described["schema"]}


def _structured_outputs(value: Any, name: str) -> dict[str, Any]:
    known = {"json": "json_schema"} | {kind: kind for kind in ("json_object", "regex", "choice")}
    said = {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else {}
    if len(said) != 1 or not set(said) <= set(known):
        raise BadParameter(f"{name} must be an object with one of {', '.join(known)}.", param=name)
    ((kind, form),) = said.items()
    return {known[kind]: _schema(form) if kind == "json" else form}


def _schema(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_READERS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "response_format": _response_format,
    "structured_outputs": _structured_outputs,
    "guided_json": lambda value, _: {"json_schema": _schema(value)},
    "guided_regex": lambda value, _: {"regex": value},
    "guided_choice": lambda value, _: {"choice": value},
}
