"""Validates one input: a text, a pair, or a question with its context. Knows no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.errors import BadRow
from engine.text.characters import forbidden_character
from server.errors import (
    BadInput,
    EmptyInput,
    ForbiddenCharacter,
    InputTooLong,
    NotText,
    WrongInput,
)
from server.service.values import RowError

#: the shapes of inputs that a task may take, as named in messages
SHAPES = {
    "text": "one text",
    "pair": "a pair (text and text_pair)",
    "question": "a question and its context",
}
_PAIR, _QUESTION = ("text", "text_pair"), ("question", "context")


class TextInput(NamedTuple):
    """One valid input: its shape, of `SHAPES`, and its one or two texts."""

    shape: str
    first: str
    second: str | None = None

    @property
    def texts(self) -> str | tuple[str, str]:
        return self.first if self.second is None else (self.first, self.second)

    @property
    def num_chars(self) -> int:
        return len(self.first) + len(self.second or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIds:
    """An input of token ids, used without adding special tokens."""

    ids: Sequence[int]

    def check(self, knows: Callable[[int], bool]) -> list[int]:
        """The ids. Raises BadRow for one that the vocabulary lacks."""
        for token in self.ids:
            if not 0 <= token < 2**32 or not knows(token):
                raise BadRow(f"the input has token {token}, which is not in the base's vocabulary")
        return list(self.ids)


def read_input(item: object, shape: str, max_chars: int) -> TextInput | RowError:
    """`item` is a string or a mapping with the fields of a shape; `shape` is the one that the task
    takes.
    """
    try:
        text_input = _parse(item, max_chars)
        if text_input.shape != shape:
            raise WrongInput(
                f"The task takes {SHAPES[shape]}; the input is {SHAPES[text_input.shape]}."
            )
    except BadInput as error:
        return RowError(code=error.code, message=str(error))
    return text_input


def _parse(item: object, max_chars: int) -> TextInput:
    if isinstance(item, str):
        return TextInput("text", _text(item, max_chars))
    if isinstance(item, Mapping):
        names = {name for name, value in item.items() if value is not None}
        if names == {"text"}:
            return TextInput("text", _text(item["text"], max_chars))
        for shape, fields in (("pair", _PAIR), ("question", _QUESTION)):
            if names == set(fields):
                first, second = (_text(item[name], max_chars) for name in fields)
                return TextInput(shape, first, second)
    raise NotText


def _text(value: object, max_chars: int) -> str:
    if not isinstance(value, str):
        raise NotText
    if not value or value.isspace():
        raise EmptyInput
    if len(value) > max_chars:
        raise InputTooLong(
            f"The input has {len(value)} characters; this server accepts at most {max_chars}."
        )
    if forbidden_character(value):
        raise ForbiddenCharacter
    return value
