"""Calls of tasks that write: from inputs to the tokens a base writes after."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from engine.chat import is_message
from engine.errors import BadAdapter, BadRow
from engine.prompting import Asked, Prompter
from engine.tokenizer import bare_encoding
from server.errors import EmptyInput, InputTooLong, NotMessages, WrongInput
from server.service.inputs import read_input
from server.service.token_ids import TokenIds
from server.service.tokens import Outputs, TextRow
from server.service.values import RowError

_SHORTEST = "a"


class PromptReader:
    """Checks inputs and turns them into the rows a base writes after."""

    def __init__(self, prompter: Prompter, max_tokens: int, max_chars: int) -> None:
        self._prompter = prompter
        self._max_tokens = max_tokens
        self._max_chars = max_chars

    def check(self, head: Mapping[str, Any]) -> None:
        """Raises BadAdapter for a head with which every call would fail, however short its text."""
        try:
            num_tokens = len(self._prompter.tokens(_SHORTEST, head))
        except BadRow as error:
            raise BadAdapter(f"the version could answer no call: {error}") from error
        if num_tokens > self._max_tokens:
            raise BadAdapter(
                f"the prompt has {num_tokens} tokens with one letter of input; "
                f"the base reads at most {self._max_tokens}"
            )

    async def read(
        self, inputs: Sequence[object], head: Mapping[str, Any], outputs: Outputs
    ) -> list[TextRow]:
        """The rows to compute. `outputs` receives the errors of the others."""
        found = await asyncio.to_thread(
            lambda: [self._read(position, item, head) for position, item in enumerate(inputs)]
        )
        for position, row in enumerate(found):
            if isinstance(row, RowError):
                outputs[position] = row
        return [row for row in found if not isinstance(row, RowError)]

    def _read(self, position: int, item: object, head: Mapping[str, Any]) -> TextRow | RowError:
        asked = item if isinstance(item, TokenIds) else _asked(item, self._max_chars)
        if isinstance(asked, RowError):
            return asked
        try:
            ids = (
                asked.known(self._prompter.knows)
                if isinstance(asked, TokenIds)
                else self._prompter.tokens(asked, head)
            )
        except BadRow as error:
            return RowError(code=error.code, message=str(error))
        if len(ids) > self._max_tokens:
            return RowError(
                code=InputTooLong.code,
                message=f"The prompt has {len(ids)} tokens; "
                f"the base reads at most {self._max_tokens}.",
            )
        if not ids:
            return RowError(code=EmptyInput.code, message=str(EmptyInput()))
        return TextRow(position, asked if isinstance(asked, str) else "", bare_encoding(ids))


def _asked(item: object, max_chars: int) -> Asked | RowError:
    """A text, or a conversation that ends with what is asked."""
    if not isinstance(item, Mapping) or set(item) != {"messages"}:
        given = read_input(item, "text", max_chars)
        if isinstance(given, RowError) and given.code == WrongInput.code:
            return RowError(code=NotMessages.code, message=str(NotMessages()))
        return given if isinstance(given, RowError) else given.first
    messages = item["messages"]
    if not isinstance(messages, list) or not messages or not all(map(is_message, messages)):
        return RowError(code=NotMessages.code, message=str(NotMessages()))
    for message in messages:
        read = read_input(message["content"], "text", max_chars)
        if isinstance(read, RowError):
            return read
    return [{"role": m["role"], "content": m["content"]} for m in messages]
