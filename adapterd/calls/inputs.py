"""Inputs of a predict call in the forms that callers may pass, as messages. Knows no call.

A mapping is read by its keys, never by its order; an unknown form is a Refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.calls.arguments import check_encodable, describe, to_list
from adapterd.errors import Refused
from adapterd.v1 import predictor_pb2 as messages
from adapterd.values import Question

#: one turn of a conversation: (role, content), or a mapping with these two keys
Turn = tuple[str, str] | Mapping[str, str]
#: one input: a text, a pair, a question about a context, a conversation, or a mapping with the
#: field names of the HTTP API
Text = str | tuple[str, str] | Question | Sequence[Turn] | Mapping[str, Any]

_SHAPES = (("text",), ("text", "text_pair"), ("question", "context"), ("messages",))
_TURN = ("role", "content")
_EXPECTED = (
    "an input is a text, a (text, text_pair) tuple, a Question, a list of (role, content) turns, "
    "or a mapping with text, with text and text_pair, with question and context, or with messages"
)


def read_inputs(inputs: Any) -> list[messages.Input]:
    """One input or a list of inputs; a pair is a tuple, never a list. Raises Refused."""
    if _is_single(inputs):
        return [_read_input("The input", inputs)]
    try:
        items = to_list("inputs", inputs)
    except Refused as error:
        raise Refused(f"{error} A single input needs no list; {_EXPECTED}.") from None
    return [_read_input(f"Input {number}", item) for number, item in enumerate(items)]


def _is_single(inputs: object) -> bool:
    if isinstance(inputs, tuple):
        is_pair = len(inputs) == 2 and all(isinstance(text, str) for text in inputs)
        return is_pair or hasattr(inputs, "_fields")
    return isinstance(inputs, str | Question | Mapping)


def _read_input(where: str, value: object) -> messages.Input:
    if isinstance(value, str):
        return messages.Input(text=check_encodable(where, value))
    if isinstance(value, Question):
        return _read_mapping(where, {"question": value.question, "context": value.context})
    if isinstance(value, Mapping):
        return _read_mapping(where, value)
    if isinstance(value, tuple):
        return _read_tuple(where, value)
    if isinstance(value, list):
        return _read_conversation(where, value)
    raise _bad_input(f"{where} is {describe(value)}")


def _read_tuple(where: str, value: tuple[Any, ...]) -> messages.Input:
    if hasattr(value, "_asdict"):
        return _read_mapping(where, value._asdict())
    if len(value) != 2 or any(text is None for text in value):
        items = ", ".join(map(describe, value))
        raise _bad_input(f"{where} is a tuple of {len(value)}: {items}")
    return _read_mapping(where, {"text": value[0], "text_pair": value[1]})


def _read_mapping(where: str, value: Mapping[Any, Any]) -> messages.Input:
    fields = {name: field for name, field in value.items() if field is not None}
    if set(fields) not in [set(names) for names in _SHAPES]:
        names = ", ".join(map(repr, fields)) or "nothing"
        raise _bad_input(f"{where} is an object with {names}")
    if "messages" in fields:
        return _read_conversation(where, fields["messages"])
    texts = {name: _read_text(f"{where}: {name}", field) for name, field in fields.items()}
    if "text_pair" in texts:
        return messages.Input(pair=messages.Pair(**texts))
    if "question" in texts:
        return messages.Input(question_context=messages.QuestionContext(**texts))
    return messages.Input(text=texts["text"])


def _read_conversation(where: str, value: object) -> messages.Input:
    if not isinstance(value, list | tuple) or not value:
        raise _bad_input(f"{where} has {describe(value)} for messages, which are a list of turns")
    turns = [_read_turn(f"{where}, turn {number}", turn) for number, turn in enumerate(value)]
    return messages.Input(messages=messages.Messages(messages=turns))


def _read_turn(where: str, turn: object) -> messages.Message:
    if isinstance(turn, tuple) and hasattr(turn, "_asdict"):
        turn = turn._asdict()
    if isinstance(turn, tuple | list) and len(turn) == len(_TURN):
        turn = dict(zip(_TURN, turn, strict=True))
    if not isinstance(turn, Mapping):
        raise _bad_input(f"{where} is {describe(turn)}")
    if set(turn) != set(_TURN):
        names = ", ".join(map(repr, turn)) or "nothing"
        raise Refused(f"{where} is an object with {names}; a turn has role and content.")
    fields = {name: _read_text(f"{where}: {name}", turn[name]) for name in _TURN}
    return messages.Message(**fields)


def _read_text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"{where} is {describe(value)}; it must be a text.")
    return check_encodable(where, value)


def _bad_input(problem: str) -> Refused:
    return Refused(f"{problem}; {_EXPECTED}.")
