"""A row of a file as an input of a task: which of its fields are sent. Knows no file format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.errors import Refused

#: the fields of one input by name, as HTTP takes them, and `prompt` as training files have it
_SHAPES = (("messages",), ("question", "context"), ("text",), ("prompt",))
_BESIDE_MESSAGES = ("tools", "chat_template_kwargs")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRow:
    """One row; `problem` says why it is none that can be sent."""

    #: of its first line in the file, from 1
    line: int
    #: its place among the rows, from 1
    number: int = 0
    #: everything that the file says of it
    fields: Mapping[str, Any] = field(default_factory=dict)
    #: what is sent
    value: Any = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputColumns:
    """The columns with the texts, where they are not those that HTTP names."""

    text: str | None = None
    text_pair: str | None = None

    def match(self, names: Sequence[str]) -> dict[str, str] | None:
        """The columns to send, as {field of HTTP: column}; None if the rows have no such columns.

        Upper and lower case are the same, as in the header of a spreadsheet.
        """
        if self.text is not None:
            wishes = {"text": self.text, "text_pair": self.text_pair}
            columns = {name: _find(column, names) for name, column in wishes.items() if column}
            return _complete(columns)
        for shape in _SHAPES:
            columns = {name: _find(name, names) for name in shape}
            if complete := _complete(columns):
                return _add_optional(complete, names, self.text_pair or "text_pair")
        return None

    def require(self, names: Sequence[str], source: str) -> dict[str, str]:
        """The columns to send. Raises Refused."""
        if columns := self.match(names):
            return columns
        lacking = [name for name in (self.text, self.text_pair) if name] or ["text"]
        has = ", ".join(map(str, names)) or "none"
        remedy = "" if self.text else " Pass --text-column with the column of the texts."
        raise Refused(f"{source} has no column {lacking[0]!r}; it has: {has}.{remedy}")


def build_value(fields: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    """The input of the HTTP API that these columns of a row make."""
    value = {name: fields.get(column) for name, column in columns.items()}
    if "messages" in value:
        return {name: _from_json(part) for name, part in value.items()}
    if "prompt" in value:
        prompt = _from_json(value["prompt"])
        return {"messages": prompt} if isinstance(prompt, list) else {"text": prompt}
    return value


def _find(name: str, names: Sequence[str]) -> str | None:
    if name in names:
        return name
    return next((other for other in names if other.strip().casefold() == name.casefold()), None)


def _complete(columns: Mapping[str, str | None]) -> dict[str, str] | None:
    known = {name: column for name, column in columns.items() if column is not None}
    return known if len(known) == len(columns) else None


def _add_optional(columns: dict[str, str], names: Sequence[str], text_pair: str) -> dict[str, str]:
    optional = {"text_pair": text_pair} if "text" in columns else {}
    if "messages" in columns:
        optional = {name: name for name in _BESIDE_MESSAGES}
    for name, column in optional.items():
        if (actual := _find(column, names)) is not None:
            columns[name] = actual
    return columns


def _from_json(value: Any) -> Any:
    """The list or object that a cell holds as JSON."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
