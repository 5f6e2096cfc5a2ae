"""Inputs of a predict call in the forms that callers may pass, as messages. Knows no call.

A mapping is read by its keys, never by its order; an unknown form is a Refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any, ClassVar, Protocol

from adapterd.calls.arguments import check_encodable, describe, to_list
from adapterd.errors import InvalidInput, Refused
from adapterd.v1 import predictor_pb2 as protos
from adapterd.values import Question


class Fields(Protocol):
    """A dataclass with the field names of the HTTP API."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


#: one turn of a conversation: (role, content), or a mapping with these two keys
Turn = tuple[str, str] | Mapping[str, str]
#: one input: a text, a pair, a question about a context, a conversation, or a mapping or dataclass
#: with the field names of the HTTP API
Text = str | tuple[str, str] | Question | Sequence[Turn] | Mapping[str, Any] | Fields

_SHAPES = (("text",), ("text", "text_pair"), ("question", "context"), ("messages",))
_TURN = ("role", "content")
#: what a conversation may have beside its messages
_BESIDE_MESSAGES = ("tools", "chat_template_kwargs")
_EXPECTED = (
    "an input is a text, a (text, text_pair) tuple, a Question, a list of (role, content) turns, "
    "or a mapping or dataclass with text, with text and text_pair, with question and context, or "
    "with messages"
)


def read_inputs(inputs: Any) -> list[protos.Input]:
    """One input or a list of inputs; a pair is a tuple, never a list. Raises InvalidInput."""
    if _is_single(inputs):
        return [read_input("The input", inputs)]
    try:
        items = to_list("inputs", inputs)
    except Refused as error:
        raise InvalidInput(f"{error} A single input needs no list; {_EXPECTED}.") from None
    return [read_input(f"Input {number}", item) for number, item in enumerate(items)]


def _is_single(inputs: object) -> bool:
    if isinstance(inputs, tuple):
        is_pair = len(inputs) == 2 and all(isinstance(text, str) for text in inputs)
        return is_pair or hasattr(inputs, "_asdict")
    return isinstance(inputs, str) or _to_mapping(inputs) is not None


def read_input(where: str, value: object) -> protos.Input:
    """One input; `where` names it in errors. Raises InvalidInput."""
    if isinstance(value, protos.Input):
        return value
    if isinstance(value, str):
        return protos.Input(text=_read_text(where, value))
    if (named := _to_mapping(value)) is not None:
        return _read_mapping(where, named)
    if isinstance(value, tuple):
        return _read_tuple(where, value)
    if isinstance(value, list):
        return _read_conversation(where, value)
    raise _bad_input(f"{where} is {describe(value)}")


def _to_mapping(value: object) -> Mapping[Any, Any] | None:
    """The fields of a mapping, a named tuple or a dataclass by name; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        named: dict[str, Any] = value._asdict()
        return named
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclass_fields(value)}
    return None


def _read_tuple(where: str, value: tuple[Any, ...]) -> protos.Input:
    if len(value) != 2 or any(text is None for text in value):
        items = ", ".join(map(describe, value))
        raise _bad_input(f"{where} is a tuple of {len(value)}: {items}")
    return _read_mapping(where, {"text": value[0], "text_pair": value[1]})


def _read_mapping(where: str, value: Mapping[Any, Any]) -> protos.Input:
    fields = {name: field for name, field in value.items() if field is not None}
    if "messages" in fields and set(fields) <= {"messages", *_BESIDE_MESSAGES}:
        return _read_conversation(where, **fields)
    if set(fields) not in [set(names) for names in _SHAPES]:
        names = ", ".join(map(repr, fields)) or "nothing"
        raise _bad_input(f"{where} is an object with {names}")
    texts = {name: _read_text(f"{where}: {name}", field) for name, field in fields.items()}
    if "text_pair" in texts:
        return protos.Input(pair=protos.Pair(**texts))
    if "question" in texts:
        return protos.Input(question_context=protos.QuestionContext(**texts))
    return protos.Input(text=texts["text"])


def _read_conversation(where: str, messages: object, **beside: Any) -> protos.Input:
    """Turns of a role and a content are sent as such; anything more is sent as JSON."""
    if not isinstance(messages, list | tuple) or not messages:
        raise _bad_input(
            f"{where} has {describe(messages)} for messages, which are a list of turns"
        )
    turns = [_read_turn(f"{where}, turn {number}", turn) for number, turn in enumerate(messages)]
    if not beside and all(set(turn) == set(_TURN) for turn in turns):
        plain = [
            protos.Message(
                **{name: _read_text(f"{where}, turn {n}: {name}", turn[name]) for name in _TURN}
            )
            for n, turn in enumerate(turns)
        ]
        return protos.Input(messages=protos.Messages(messages=plain))
    return protos.Input(
        messages=protos.Messages(conversation=_to_json(where, {"messages": turns, **beside}))
    )


def _read_turn(where: str, turn: object) -> dict[str, Any]:
    if isinstance(turn, tuple | list) and len(turn) == len(_TURN) and not hasattr(turn, "_asdict"):
        turn = dict(zip(_TURN, turn, strict=True))
    named = _to_mapping(turn)
    if named is None:
        raise _bad_input(f"{where} is {describe(turn)}")
    fields = {name: value for name, value in named.items() if value is not None}
    if "role" not in fields or len(fields) == 1:
        names = ", ".join(map(repr, fields)) or "nothing"
        raise InvalidInput(f"{where} is an object with {names}; a turn has role and content.")
    return fields


def _to_json(where: str, conversation: Mapping[str, Any]) -> str:
    try:
        return check_encodable(where, json.dumps(conversation, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{where} has messages that are no plain JSON: {error}.") from None


def _read_text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{where} is {describe(value)}; it must be a text.")
    try:
        return check_encodable(where, value)
    except Refused as error:
        raise InvalidInput(str(error)) from None


def _bad_input(problem: str) -> InvalidInput:
    return InvalidInput(f"{problem}; {_EXPECTED}.")
