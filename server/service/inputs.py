"""Reading one input: text or a pair of texts, or a typed error that concerns this input alone."""

from __future__ import annotations

from collections.abc import Mapping

from server.errors import BadInput, EmptyInput, ForbiddenCharacter, InputTooLong, NotText
from server.service.values import RowError

Text = str | tuple[str, str]


def read_input(item: object, max_chars: int) -> Text | RowError:
    """`item` is whatever came: a string, or a mapping with `text` and maybe `text_pair`."""
    try:
        return _checked(item, max_chars)
    except BadInput as error:
        return RowError(code=error.code, message=str(error))


def _checked(item: object, max_chars: int) -> Text:
    if isinstance(item, str):
        return _text(item, max_chars)
    if isinstance(item, Mapping) and "text" in item and item.keys() <= {"text", "text_pair"}:
        text = _text(item["text"], max_chars)
        return (
            (text, _text(item["text_pair"], max_chars))
            if item.get("text_pair") is not None
            else text
        )
    raise NotText


def _text(value: object, max_chars: int) -> str:
    if not isinstance(value, str):
        raise NotText
    if not value or value.isspace():
        raise EmptyInput
    if len(value) > max_chars:
        raise InputTooLong(
            f"The input has {len(value)} characters; this server reads at most {max_chars}."
        )
    if "\0" in value or not (value.isascii() or _encodes(value)):
        raise ForbiddenCharacter
    return value


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
