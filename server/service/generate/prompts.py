"""Converts the inputs of generation calls to the tokens of prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadAdapter, BadMessage, BadRow
from engine.text.conversation import Conversation, read_conversation
from engine.text.prompts import Prompter, PromptInput
from engine.text.tokenizer import bare_encoding
from server.errors import EmptyInput, InputTooLong, NotMessages, WrongInput
from server.pools.work_pool import WorkPool
from server.service.inputs.inputs import TokenIds, read_input
from server.service.inputs.tokenization import Outputs, TextRow
from server.service.values import RowError

_SHORTEST = "a"
#: inputs that are converted at a time
_PART = 8
_CONVERSATION = frozenset({"messages", "tools", "chat_template_kwargs"})


class PromptReader:
    """Checks inputs and converts them to prompts."""

    def __init__(self, prompter: Prompter, max_tokens: int, max_chars: int, pool: WorkPool) -> None:
        """Prompts are rendered and tokenized in `pool`."""
        self._pool = pool
        self._prompter = prompter
        self._max_tokens = max_tokens
        self._max_chars = max_chars

    def check(self, head: Mapping[str, Any]) -> None:
        """Raises BadAdapter for a head with which every call would fail, even with a short text."""
        try:
            num_tokens = len(self._prompter.tokens(_SHORTEST, head))
        except BadRow as error:
            raise BadAdapter(f"every call of this version would fail: {error}") from error
        if num_tokens > self._max_tokens:
            raise BadAdapter(
                f"the prompt has {num_tokens} tokens with one letter of input; "
                f"the base reads at most {self._max_tokens}"
            )

    async def read(
        self, inputs: Sequence[object], head: Mapping[str, Any], outputs: Outputs, tenant: str
    ) -> list[TextRow]:
        """The rows of valid inputs; `outputs` receives the errors of the others."""
        rows: list[TextRow | RowError] = []
        for start in range(0, len(inputs), _PART):
            # between parts other calls can run, and a disconnected caller is noticed
            rows += await self._pool.run(tenant, self._read_some, inputs, start, head)
        for position, row in enumerate(rows):
            if isinstance(row, RowError):
                outputs[position] = row
        return [row for row in rows if not isinstance(row, RowError)]

    def _read_some(
        self, inputs: Sequence[object], start: int, head: Mapping[str, Any]
    ) -> list[TextRow | RowError]:
        some = inputs[start : start + _PART]
        return [self._read(position, item, head) for position, item in enumerate(some, start)]

    def _read(self, position: int, item: object, head: Mapping[str, Any]) -> TextRow | RowError:
        prompt = item if isinstance(item, TokenIds) else self._prompt_of(item)
        if isinstance(prompt, RowError):
            return prompt
        try:
            ids = (
                prompt.check(self._prompter.knows)
                if isinstance(prompt, TokenIds)
                else self._prompter.tokens(prompt, head)
            )
        except BadRow as error:
            return RowError(code=error.code, message=str(error))
        if len(ids) > self._max_tokens:
            return RowError(
                code=InputTooLong.code,
                message=f"The prompt has {len(ids)} tokens; "
                f"this model's maximum context length is {self._max_tokens} tokens.",
            )
        if not ids:
            return RowError(code=EmptyInput.code, message=str(EmptyInput()))
        return TextRow(position, prompt if isinstance(prompt, str) else "", bare_encoding(ids))

    def _prompt_of(self, item: object) -> PromptInput | RowError:
        """The text or the conversation of an input."""
        if not isinstance(item, Mapping) or "messages" not in item or set(item) - _CONVERSATION:
            text_input = read_input(item, "text", self._max_chars)
            if isinstance(text_input, RowError) and text_input.code == WrongInput.code:
                return RowError(code=NotMessages.code, message=str(NotMessages()))
            return text_input if isinstance(text_input, RowError) else text_input.first
        try:
            conversation = read_conversation(
                item["messages"], item.get("tools"), item.get("chat_template_kwargs")
            )
        except BadMessage as error:
            return RowError(code=NotMessages.code, message=f"{error}.")
        return self._check(conversation) or conversation

    def _check(self, conversation: Conversation) -> RowError | None:
        """The error of a conversation that is too long to render or whose content is not text."""
        num_tool_chars = len(json.dumps([conversation.tools, conversation.template_kwargs]))
        if len(conversation.messages) > self._max_tokens or num_tool_chars > self._max_chars:
            return RowError(
                code=InputTooLong.code,
                message=f"The conversation has {len(conversation.messages)} messages and "
                f"{num_tool_chars} characters of tools; this model's maximum context length is "
                f"{self._max_tokens} tokens.",
            )
        for message in conversation.messages:
            if message["content"] or message.keys() == {"role", "content"}:
                read = read_input(message["content"], "text", self._max_chars)
                if isinstance(read, RowError):
                    return read
        return None
