"""From an input and a head's settings to the tokens a base writes after, and from tokens to text.

The front door and the trainer share it, so that a version is asked as it was trained. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import BadRow
from engine.families import FAMILIES
from engine.port import IGNORED, EngineInfo
from engine.text.chat_template import ChatTemplate
from engine.text.conversation import Conversation, Message
from engine.text.tokenizer import Tokenizer

#: a prompt is all settings: what its version holds in place of trained weights
PROMPT_FILES = {
    "adapter_config.json": b'{"adapterd_kind": "head_only"}',
    "adapter_model.safetensors": (8).to_bytes(8, "little") + b"{}      ",
}

#: one text, or a conversation
Asked = str | Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCompletion:
    """A prompt and the answer it should get, as tokens."""

    asked: list[int]
    answer: list[int]
    #: the answer is written beside the prompt, by a decoder of its own, and not after it
    beside: bool

    @property
    def ids(self) -> list[int]:
        """The row that is trained on."""
        return self.asked if self.beside else self.asked + self.answer

    @property
    def target(self) -> list[int]:
        """As `Train.targets` wants it: of the prompt nothing is learned."""
        if self.beside:
            return self.answer
        return [*[IGNORED] * (len(self.asked) - 1), *self.answer, IGNORED]

    def within(self, max_tokens: int) -> PromptCompletion:
        """Itself, or cut: of the prompt the end stays, and of the answer at most half a row.

        An answer beside its prompt has a row of its own to fill.
        """
        if max(len(self.ids), len(self.answer)) <= max_tokens:
            return self
        answer = self.answer[: max_tokens if self.beside else max(1, max_tokens // 2)]
        room = max_tokens - (0 if self.beside else len(answer))
        return replace(self, asked=self.asked[-room:], answer=answer)


class Prompter:
    """One base's way to be asked. Any thread may call it."""

    def __init__(self, info: EngineInfo, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._end_ids = info.end_ids
        self._beside = FAMILIES[info.family].architecture == "seq2seq"
        self._chat = (
            ChatTemplate(info.chat_templates, info.special_tokens) if info.chat_templates else None
        )

    def tokens(self, asked: Asked, head: Mapping[str, Any]) -> list[int]:
        """What the base reads before it writes. Raises BadRow."""
        if (chat := self._chat_for(asked, head)) is not None:
            return self._tokenizer.ids(chat.prompt(_conversation(asked, head)), special=False)
        assert isinstance(asked, str), "a conversation is read through the chat template"
        return self._tokenizer.ids(_plain(asked, head), special=True)

    def lesson(
        self, asked: Asked, answer: str | Message, head: Mapping[str, Any]
    ) -> PromptCompletion:
        """What is learned from one answer, after the very prompt that `tokens` asks with. Raises
        BadRow.
        """
        prompt, wanted = self.tokens(asked, head), self._answer(asked, answer, head)
        return PromptCompletion(asked=prompt, answer=wanted, beside=self._beside)

    def text(self, ids: Sequence[int]) -> str:
        """What is said by tokens that were written; one that ends a text says nothing."""
        end = len(ids) - bool(ids and ids[-1] in self._end_ids)
        return self._tokenizer.text(ids[:end])

    def knows(self, token: int) -> bool:
        return self._tokenizer.knows(token)

    def _chat_for(self, asked: Asked, head: Mapping[str, Any]) -> ChatTemplate | None:
        """The template that reads it; none where it is read as it stands."""
        wanted = head["format"] == "chat" or not isinstance(asked, str)
        if wanted and self._chat is None:
            raise BadRow("the base has no chat template, so it reads plain text only")
        if head["format"] == "plain" and not isinstance(asked, str):
            raise BadRow("the version reads plain text, not a conversation")
        usual = head["format"] == "auto" and self._chat is not None and self._chat.is_usual
        return self._chat if wanted or usual else None

    def _answer(self, asked: Asked, answer: str | Message, head: Mapping[str, Any]) -> list[int]:
        """The answer as it follows the prompt, up to the token that ends it."""
        chat = self._chat_for(asked, head)
        if chat is None:
            assert isinstance(answer, str), "a message is written through the chat template"
            return self._ended(self._tokenizer.ids(answer, special=self._beside))
        said = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
        text, ending = chat.answer(_conversation(asked, head), said)
        ids = self._tokenizer.ids(text + ending, special=False)
        if not set(ids) & set(self._end_ids):
            # what the template writes between two messages ends no answer
            ids = self._tokenizer.ids(text, special=False)
        return self._ended(ids)

    def _ended(self, ids: list[int]) -> list[int]:
        """Up to the first token that ends a text, which is added where there is none."""
        ends = [position for position, token in enumerate(ids) if token in self._end_ids]
        return ids[: ends[0] + 1] if ends else [*ids, *self._end_ids[:1]]


def _conversation(asked: Asked, head: Mapping[str, Any]) -> Conversation:
    """The version's instruction and examples, then what is asked."""
    if isinstance(asked, str):
        asked = Conversation(messages=({"role": "user", "content": asked},))
    prompt = head.get("prompt", {})
    given = list(asked.messages)
    turns: list[Message] = []
    if given[0]["role"] == "system":
        turns.append(given.pop(0))
    elif prompt.get("instruction"):
        turns.append({"role": "system", "content": prompt["instruction"]})
    for example in prompt.get("examples", []):
        turns.append({"role": "user", "content": example["input"]})
        turns.append({"role": "assistant", "content": example["output"]})
    return replace(asked, messages=(*turns, *given))


def _plain(text: str, head: Mapping[str, Any]) -> str:
    """Instruction, examples and input under each other; a text without a prompt stays as it is."""
    prompt = head.get("prompt")
    if not prompt:
        return text
    examples = [f"{e['input']}\n{e['output']}" for e in prompt["examples"]]
    return "\n\n".join(part for part in (prompt["instruction"], *examples, text) if part) + "\n"
