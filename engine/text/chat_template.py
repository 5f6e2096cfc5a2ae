"""A base's own chat templates, rendered by transformers.

Templates are files of the base; transformers runs them in a sandbox. Knows no tokens and no head.
transformers is imported with the first base that has a template, and its renderer does not need
torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from jinja2 import TemplateError, TemplateSyntaxError

from engine.errors import BadBase, BadRow
from engine.text.conversation import Conversation, Message

#: the names that transformers gives to a base's templates
DEFAULT, TOOL_USE = "default", "tool_use"
#: stands for an answer, to see what a template writes around one; private use, so nobody's text
_MARK = "\ue000\ue001\ue000"
#: what a message or conversation may hold that most templates never look at
_READ_BY_SOME = ("tool_calls", "reasoning_content")
#: arguments of the renderer, which are no variables of a template
_OWN = frozenset({
    "conversations", "messages", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message", "return_assistant_tokens_mask",
})  # fmt: skip
#: whatever an expression of a template may raise
_FAULTS = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError,
    RecursionError,
)  # fmt: skip


class Answer(NamedTuple):
    """What an assistant writes after a prompt: the text, and what the template puts behind it."""

    text: str
    ending: str


class ChatTemplate:
    """A base's templates by name, with the special tokens that they name. Any thread may call it.

    Like transformers, conversations with tools are read by `tool_use` where there is one, and all
    others by `default`.
    """

    def __init__(self, templates: Mapping[str, str], special_tokens: Mapping[str, str]) -> None:
        from transformers.utils.chat_template_utils import render_jinja_template

        self._templates = templates
        self._special_tokens = special_tokens
        # its annotations say less than it takes and gives
        self._render_jinja = cast(Callable[..., tuple[list[str], Any]], render_jinja_template)

    @property
    def is_usual(self) -> bool:
        """Whether plain text is asked through it: there is a template for conversations without
        tools.
        """
        return DEFAULT in self._templates

    def check(self) -> None:
        """Raises BadBase for a template that is no template at all."""
        messages: list[Message] = [{"role": "user", "content": "a"}]
        for name, source in self._templates.items():
            try:
                self._render(source, messages, Conversation(messages=()), prompt=True)
            except TemplateSyntaxError as error:
                raise BadBase(
                    f"the base's chat template {name} is malformed at line {error.lineno}: {error}"
                ) from error
            except _FAULTS:
                continue  # it may well refuse a conversation

    def prompt(self, conversation: Conversation) -> str:
        """The conversation, and the beginning of an answer. Raises BadRow."""
        return self._render_checked(conversation, conversation.messages, prompt=True)

    def answer(self, conversation: Conversation, answer: Message) -> Answer:
        """What has to follow `prompt` for the conversation to be answered so.

        A block that the template itself puts before an answer, such as an empty think block, is no
        part of it: it is not in the prompt either. Raises BadRow.
        """
        marked = {"role": "assistant", "content": _MARK}
        rendered = self._render_checked(conversation, (*conversation.messages, marked))
        before, mark, ending = rendered.rpartition(_MARK)
        if not mark:
            raise BadRow("the base's chat template leaves out what the assistant answers")
        whole = self._render_checked(conversation, (*conversation.messages, answer))
        if not whole.startswith(before):
            # it has a block of its own, in place of the template's
            before = self.prompt(conversation)
        if not whole.startswith(before):
            raise BadRow("the base's chat template changes a conversation when it is answered")
        text = whole[len(before) :]
        if not text.endswith(ending):
            return Answer(text, "")
        return Answer(text.removesuffix(ending), ending)

    def _render_checked(
        self, conversation: Conversation, messages: Sequence[Message], *, prompt: bool = False
    ) -> str:
        source = self._source(conversation)
        self._check_read(source, conversation, messages)
        try:
            return self._render(source, messages, conversation, prompt=prompt)
        except _FAULTS as error:
            raise BadRow(
                f"the base's chat template does not take this conversation: {error}"
            ) from error

    def _render(
        self, source: str, messages: Sequence[Message], conversation: Conversation, *, prompt: bool
    ) -> str:
        texts, _ = self._render_jinja(
            [list(messages)],
            tools=list(conversation.tools) or None,
            chat_template=source,
            add_generation_prompt=prompt,
            **{**self._special_tokens, **conversation.template_kwargs},
        )
        text = texts[0]
        text.encode()  # half a character is no text: ValueError
        return text

    def _source(self, conversation: Conversation) -> str:
        if conversation.tools and TOOL_USE in self._templates:
            return self._templates[TOOL_USE]
        if DEFAULT not in self._templates:
            raise BadRow(
                f"the base has chat templates named {', '.join(sorted(self._templates))}, and none "
                f"named {DEFAULT}; save the one to use as the base's chat_template.jinja"
            )
        return self._templates[DEFAULT]

    def _check_read(
        self, source: str, conversation: Conversation, messages: Sequence[Message]
    ) -> None:
        """Raises BadRow for what the template would pass over in silence."""
        fields = {name for message in messages for name in _READ_BY_SOME if name in message}
        if conversation.tools:
            fields.add("tools")
        if any(message["role"] == "tool" for message in messages):
            fields.add("tool")
        for name in sorted(fields):
            if not _names(source, name):
                what = "role tool" if name == "tool" else name
                raise BadRow(f"the base's chat template reads no {what}")
        for name in conversation.template_kwargs:
            if name in _OWN or name in self._special_tokens or not _names(source, name):
                raise BadRow(f"the base's chat template has no variable {name[:64]!r} to set")


def _names(source: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", source) is not None
