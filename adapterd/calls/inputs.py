"""What a task may be asked about, as callers pass it and as HTTP reads it. Knows no call.

An object is read by its names, never by its order; what is not understood is a Refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.calls.arguments import described, encodable, listed
from adapterd.errors import Refused
from adapterd.v1 import predictor_pb2 as messages
from adapterd.values import Question

#: one turn of a conversation: (role, content), or a mapping of these two names
Turn = tuple[str, str] | Mapping[str, str]
#: one input: a text, a pair, a question about a context, a conversation, or a mapping with the
#: names that HTTP has for these
Text = str | tuple[str, str] | Question | Sequence[Turn] | Mapping[str, Any]

_SHAPES = (("text",), ("text", "text_pair"), ("question", "context"), ("messages",))
_TURN = ("role", "content")
_EXPECTED = (
    "an input is a text, a (text, text_pair) tuple, a Question, a list of (role, content) turns, "
    "or a mapping with text, with text and text_pair, with question and context, or with messages"
)


def read_inputs(given: Any) -> list[messages.Input]:
    """One input or a list of them; a pair is a tuple, which a list never is. Raises Refused."""
    if _is_one(given):
        return [_input("The input", given)]
    try:
        items = listed("inputs", given)
    except Refused as error:
        raise Refused(f"{error} One may stand alone; {_EXPECTED}.") from None
    return [_input(f"Input {number}", item) for number, item in enumerate(items)]


def _is_one(given: object) -> bool:
    if isinstance(given, tuple):
        is_pair = len(given) == 2 and all(isinstance(each, str) for each in given)
        return is_pair or hasattr(given, "_fields")
    return isinstance(given, str | Question | Mapping)


def _input(where: str, given: object) -> messages.Input:
    if isinstance(given, str):
        return messages.Input(text=encodable(where, given))
    if isinstance(given, Question):
        return _of_names(where, {"question": given.question, "context": given.context})
    if isinstance(given, Mapping):
        return _of_names(where, given)
    if isinstance(given, tuple):
        return _of_tuple(where, given)
    if isinstance(given, list):
        return _conversation(where, given)
    raise _refused(f"{where} is {described(given)}")


def _of_tuple(where: str, given: tuple[Any, ...]) -> messages.Input:
    if hasattr(given, "_asdict"):
        return _of_names(where, given._asdict())
    if len(given) != 2 or any(each is None for each in given):
        raise _refused(f"{where} is a tuple of {len(given)}: {', '.join(map(described, given))}")
    return _of_names(where, {"text": given[0], "text_pair": given[1]})


def _of_names(where: str, given: Mapping[Any, Any]) -> messages.Input:
    found = {name: value for name, value in given.items() if value is not None}
    if set(found) not in [set(names) for names in _SHAPES]:
        names = ", ".join(map(repr, found)) or "nothing"
        raise _refused(f"{where} is an object with {names}")
    if "messages" in found:
        return _conversation(where, found["messages"])
    texts = {name: _text(f"{where}: {name}", value) for name, value in found.items()}
    if "text_pair" in texts:
        return messages.Input(pair=messages.Pair(**texts))
    if "question" in texts:
        return messages.Input(question_context=messages.QuestionContext(**texts))
    return messages.Input(text=texts["text"])


def _conversation(where: str, given: object) -> messages.Input:
    if not isinstance(given, list | tuple) or not given:
        raise _refused(f"{where} has {described(given)} for messages, which are a list of turns")
    turns = [_turn(f"{where}, turn {number}", turn) for number, turn in enumerate(given)]
    return messages.Input(messages=messages.Messages(messages=turns))


def _turn(where: str, given: object) -> messages.Message:
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        given = given._asdict()
    if isinstance(given, tuple | list) and len(given) == len(_TURN):
        given = dict(zip(_TURN, given, strict=True))
    if not isinstance(given, Mapping):
        raise _refused(f"{where} is {described(given)}")
    if set(given) != set(_TURN):
        names = ", ".join(map(repr, given)) or "nothing"
        raise Refused(f"{where} is an object with {names}; a turn has role and content.")
    return messages.Message(**{name: _text(f"{where}: {name}", given[name]) for name in _TURN})


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"{where} is {described(value)}; it must be a text.")
    return encodable(where, value)


def _refused(what: str) -> Refused:
    return Refused(f"{what}; {_EXPECTED}.")
