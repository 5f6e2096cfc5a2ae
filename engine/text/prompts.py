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
PromptInput = str | Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCompletion:
    """A prompt and the answer it should get, as tokens."""

    prompt: list[int]
    completion: list[int]
    #: the answer is written beside the prompt, by a decoder of its own, and not after it
    is_seq2seq: bool

    @property
    def ids(self) -> list[int]:
        """The row that is trained on."""
        return self.prompt if self.is_seq2seq else self.prompt + self.completion

    @property
    def target(self) -> list[int]:
        """As `Train.targets` wants it: of the prompt nothing is learned."""
        if self.is_seq2seq:
            return self.completion
        return [*[IGNORED] * (len(self.prompt) - 1), *self.completion, IGNORED]

    def within(self, max_tokens: int) -> PromptCompletion:
        """Itself, or cut: of the prompt the end stays, and of the answer at most half a row.

        An answer beside its prompt has a row of its own to fill.
        """
        if max(len(self.ids), len(self.completion)) <= max_tokens:
            return self
        completion = self.completion[: max_tokens if self.is_seq2seq else max(1, max_tokens // 2)]
        room = max_tokens - (0 if self.is_seq2seq else len(completion))
        return replace(self, prompt=self.prompt[-room:], completion=completion)


class Prompter:
    """One base's way to be asked. Any thread may call it."""

    def __init__(self, info: EngineInfo, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._end_ids = info.end_ids
        self._is_seq2seq = FAMILIES[info.family].architecture == "seq2seq"
        self._chat = (
            ChatTemplate(info.chat_templates, info.special_tokens) if info.chat_templates else None
        )

    def tokens(self, prompt_input: PromptInput, head: Mapping[str, Any]) -> list[int]:
        """What the base reads before it writes. Raises BadRow."""
        if (chat := self._chat_for(prompt_input, head)) is not None:
            return self._tokenizer.ids(
                chat.prompt(_conversation(prompt_input, head)), special=False
            )
        assert isinstance(prompt_input, str), "a conversation is read through the chat template"
        return self._tokenizer.ids(_plain(prompt_input, head), special=True)

    def encode_example(
        self, prompt_input: PromptInput, answer: str | Message, head: Mapping[str, Any]
    ) -> PromptCompletion:
        """What is learned from one answer, after the very prompt that `tokens` asks with. Raises
        BadRow.
        """
        prompt, completion = (
            self.tokens(prompt_input, head),
            self._answer(prompt_input, answer, head),
        )
        return PromptCompletion(prompt=prompt, completion=completion, is_seq2seq=self._is_seq2seq)

    def text(self, ids: Sequence[int]) -> str:
        """What is said by tokens that were written; one that ends a text says nothing."""
        end = len(ids) - bool(ids and ids[-1] in self._end_ids)
        return self._tokenizer.text(ids[:end])

    def knows(self, token: int) -> bool:
        return self._tokenizer.knows(token)

    def _chat_for(self, prompt_input: PromptInput, head: Mapping[str, Any]) -> ChatTemplate | None:
        """The template that reads it; none where it is read as it stands."""
        needs_template = head["format"] == "chat" or not isinstance(prompt_input, str)
        if needs_template and self._chat is None:
            raise BadRow("the base has no chat template, so it reads plain text only")
        if head["format"] == "plain" and not isinstance(prompt_input, str):
            raise BadRow("the version reads plain text, not a conversation")
        usual = head["format"] == "auto" and self._chat is not None and self._chat.is_usual
        return self._chat if needs_template or usual else None

    def _answer(
        self, prompt_input: PromptInput, answer: str | Message, head: Mapping[str, Any]
    ) -> list[int]:
        """The answer as it follows the prompt, up to the token that ends it."""
        chat = self._chat_for(prompt_input, head)
        if chat is None:
            assert isinstance(answer, str), "a message is written through the chat template"
            return self._truncate_at_end(self._tokenizer.ids(answer, special=self._is_seq2seq))
        message = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
        text, ending = chat.answer(_conversation(prompt_input, head), message)
        ids = self._tokenizer.ids(text + ending, special=False)
        if not set(ids) & set(self._end_ids):
            # what the template writes between two messages ends no answer
            ids = self._tokenizer.ids(text, special=False)
        return self._truncate_at_end(ids)

    def _truncate_at_end(self, ids: list[int]) -> list[int]:
        """Up to the first token that ends a text, which is added where there is none."""
        ends = [position for position, token in enumerate(ids) if token in self._end_ids]
        return ids[: ends[0] + 1] if ends else [*ids, *self._end_ids[:1]]


def _conversation(prompt_input: PromptInput, head: Mapping[str, Any]) -> Conversation:
    """The version's instruction and examples, then what is asked."""
    if isinstance(prompt_input, str):
        prompt_input = Conversation(messages=({"role": "user", "content": prompt_input},))
    prompt = head.get("prompt", {})
    messages = list(prompt_input.messages)
    turns: list[Message] = []
    if messages[0]["role"] == "system":
        turns.append(messages.pop(0))
    elif prompt.get("instruction"):
        turns.append({"role": "system", "content": prompt["instruction"]})
    for example in prompt.get("examples", []):
        turns.append({"role": "user", "content": example["input"]})
        turns.append({"role": "assistant", "content": example["output"]})
    return replace(prompt_input, messages=(*turns, *messages))


def _plain(text: str, head: Mapping[str, Any]) -> str:
    """Instruction, examples and input under each other; a text without a prompt stays as it is."""
    prompt = head.get("prompt")
    if not prompt:
        return text
    examples = [f"{e['input']}\n{e['output']}" for e in prompt["examples"]]
    return "\n\n".join(part for part in (prompt["instruction"], *examples, text) if part) + "\n"
