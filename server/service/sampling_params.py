"""The sampling parameters of every transport: one model of their types, and their conversion to
what the engine takes. Their bounds are the engine's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

import msgspec

from engine.errors import BadRow
from engine.grammar import grammar_of
from engine.port import Sampling
from engine.port.sampling_limits import check_sampling
from server.errors import BadParameter

MAX_STOPS = 16
_MAX_STOP_CHARS = 128
_TOKEN = re.compile(r"[0-9]{1,10}")

Number = float | None
#: messages to the engine hold 64 bits
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
Flag = bool | None
Biases = dict[str, float] | None
Tokens = list[Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]] | None
Strings = str | list[str] | None


class SamplingFields(msgspec.Struct, frozen=True, kw_only=True):
    """Sampling parameters by the names that callers use. None is the same as left out."""

    temperature: Number = None
    top_k: Whole = None
    top_p: Number = None
    min_p: Number = None
    repetition_penalty: Number = None
    presence_penalty: Number = None
    frequency_penalty: Number = None
    logit_bias: Biases = None
    seed: Whole = None
    logprobs: Whole = None
    ignore_eos: Flag = None
    stop: Strings = None
    stop_token_ids: Tokens = None
    response_format: Any = None
    structured_outputs: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None


NAMES = SamplingFields.__struct_fields__
#: parameters that have the same name in the engine
_SHARED = tuple(name for name in NAMES if name in Sampling.__struct_fields__)
#: what a parameter of each type must be
_EXPECTED = {
    Number: "a number",
    Whole: "a whole number",
    Flag: "true or false",
    Biases: "an object of token ids and numbers",
    Tokens: "a list of token ids",
    Strings: "a string or a list of strings",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """`stop` are strings that end a text and are not part of it. Without a seed, one is drawn."""

    sampling: Sampling = field(default_factory=Sampling)
    seed: int | None = None
    stop: tuple[str, ...] = ()


def parse_sampling_params(
    parameters: Mapping[str, Any], *, defaults: Mapping[str, float] | None = None
) -> SamplingParams:
    """Other names among the parameters are skipped. Raises BadParameter."""
    fields = _convert(parameters)
    values = {name: value for name in _SHARED if (value := getattr(fields, name)) is not None}
    if fields.top_k == -1:  # all, as in vLLM
        values["top_k"] = 0
    if fields.logit_bias is not None:
        values["logit_bias"] = _biases(fields.logit_bias)
    sampling = Sampling(
        **{**(defaults or {}), **values},
        stop_ids=fields.stop_token_ids or [],
        grammar=_grammar(fields),
    )
    try:
        check_sampling(sampling)
    except BadRow as error:
        raise _bad_parameter(error) from None
    return SamplingParams(sampling=sampling, seed=fields.seed, stop=_stops(fields.stop))


def check_sampling_params(
    params: SamplingParams, num_words: int, check_grammar: Callable[[str], None]
) -> None:
    """The checks that need the base's vocabulary. Compiling a grammar takes a while.

    Raises BadParameter.
    """
    try:
        check_sampling(params.sampling, num_words)
        check_grammar(params.sampling.grammar)
    except BadRow as error:
        raise _bad_parameter(error) from None


def _bad_parameter(error: BadRow) -> BadParameter:
    return BadParameter(f"{error}.", param=error.param)


def _convert(parameters: Mapping[str, Any]) -> SamplingFields:
    """As in JSON, 3.0 is a whole number. Raises BadParameter."""
    try:
        return msgspec.convert(parameters, SamplingFields)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter for half surrogates
        values = {name: parameters[name] for name in NAMES if name in parameters}
    values = {name: v if name in _READERS else _integral(v) for name, v in values.items()}
    for name, value in values.items():
        try:
            msgspec.convert({name: value}, SamplingFields)
        except (msgspec.ValidationError, UnicodeEncodeError):
            raise _bad_type(name, value) from None
    return msgspec.convert(values, SamplingFields)


def _integral(value: Any) -> Any:
    """A number or a list of numbers; deeper values are not followed, since callers nest them."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return _whole(value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bad_type(name: str, value: Any) -> BadParameter:
    expected = _EXPECTED[get_type_hints(SamplingFields, include_extras=True)[name]]
    if type(value) is int and expected.endswith("number"):
        return BadParameter(f"{name} is a number with too many digits.", param=name)
    return BadParameter(f"{name} must be {expected}.", param=name)


def _biases(biases: Mapping[str, float]) -> dict[int, float]:
    if not all(map(_TOKEN.fullmatch, biases)):
        raise BadParameter(f"logit_bias must be {_EXPECTED[Biases]}.", param="logit_bias")
    return {int(token): bias for token, bias in biases.items()}


def _stops(value: str | list[str] | None) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if len(stops) > MAX_STOPS:
        raise BadParameter(
            f"stop has {len(stops)} strings; at most {MAX_STOPS} are allowed.", param="stop"
        )
    if not all(0 < len(stop) <= _MAX_STOP_CHARS for stop in stops):
        raise BadParameter(
            f"Each stop string must have from 1 to {_MAX_STOP_CHARS} characters.", param="stop"
        )
    return tuple(stops)


# ---------------------------------------------------------------- what the text must match


def _grammar(fields: SamplingFields) -> str:
    forms = [name for name in _READERS if getattr(fields, name) is not None]
    if len(forms) > 1:
        raise BadParameter(
            f"{' and '.join(forms)} are mutually exclusive; set only one.", param=forms[1]
        )
    if not forms:
        return ""
    name = forms[0]
    try:
        form = _READERS[name](getattr(fields, name), name)
        return grammar_of(form) if form else ""
    except (BadRow, ValueError, RecursionError) as error:
        raise BadParameter(f"{name}: {error}.", param=name) from None


def _response_format(value: Any, name: str) -> dict[str, Any]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"json_object": True}
    json_schema = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(json_schema, Mapping) or "schema" not in json_schema:
        raise BadParameter(
            "response_format must be an object with the type text, json_object, or json_schema "
            "with a json_schema that holds a schema.",
            param=name,
        )
    return {"json_schema": json_schema["schema"]}


def _structured_outputs(value: Any, name: str) -> dict[str, Any]:
    known = {"json": "json_schema"} | {kind: kind for kind in ("json_object", "regex", "choice")}
    forms = {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else {}
    if len(forms) != 1 or not set(forms) <= set(known):
        raise BadParameter(f"{name} must be an object with one of {', '.join(known)}.", param=name)
    ((kind, form),) = forms.items()
    return {known[kind]: _schema(form) if kind == "json" else form}


def _schema(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


#: parameters that say what the text must match; a call has one of them at most
_READERS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "response_format": _response_format,
    "structured_outputs": _structured_outputs,
    "guided_json": lambda value, _: {"json_schema": _schema(value)},
    "guided_regex": lambda value, _: {"regex": value},
    "guided_choice": lambda value, _: {"choice": value},
}
