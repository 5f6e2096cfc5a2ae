"""Conversations as a base reads them: its own chat template, rendered as transformers renders it.

Templates come with a base's files, so they run in a sandbox. Knows no tokens and no head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import BadRow

#: one turn: {"role": "system"|"user"|"assistant", "content": text}
Message = Mapping[str, str]
ROLES = ("system", "user", "assistant")


class ChatTemplate:
    """A base's template with the special tokens it names. Any thread may call it."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals |= {"raise_exception": _raise, "strftime_now": _now}
        self._template = environment.from_string(source)
        self._special_tokens = special_tokens

    def render(self, messages: Sequence[Message], *, answer: bool) -> str:
        """The conversation as text, with the beginning of an `answer`. Raises BadRow."""
        try:
            return self._template.render(
                messages=list(messages), tools=None, documents=None,
                add_generation_prompt=answer, **self._special_tokens,
            )  # fmt: skip
        except (TemplateError, TypeError, ValueError) as error:
            raise BadRow(
                f"the base's chat template does not take this conversation: {error}"
            ) from error


def is_message(value: object) -> bool:
    """Whether a value from JSON is one turn, with nothing beside it that would be lost."""
    return (
        isinstance(value, Mapping)
        and set(value) == {"role", "content"}
        and value["role"] in ROLES
        and isinstance(value["content"], str)
    )


class _Generation(Extension):
    """`{% generation %}` marks what an assistant wrote; here it is only passed through."""

    tags = {"generation"}  # noqa: RUF012 (as jinja2 has it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 (as transformers has it: the local day)
