"""From an input and a head's settings to the tokens a base writes after, and from tokens to text.

The front door and the trainer share it, so that a version is asked as it was trained. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.chat import ChatTemplate, Message
from engine.errors import BadRow
from engine.families import FAMILIES
from engine.heads.head_kind import IGNORED
from engine.port import EngineInfo
from engine.tokenizer import Tokenizer

#: a prompt is all settings: what its version holds in place of trained weights
PROMPT_FILES = {
    "adapter_config.json": b'{"adapterd_kind": "head_only"}',
    "adapter_model.safetensors": (8).to_bytes(8, "little") + b"{}      ",
}

#: one text, or a conversation
Asked = str | Sequence[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
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

    def within(self, max_tokens: int) -> Lesson:
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
            ChatTemplate(info.chat_template, info.special_tokens) if info.chat_template else None
        )

    def tokens(self, asked: Asked, head: Mapping[str, Any]) -> list[int]:
        """What the base reads before it writes. Raises BadRow."""
        if self._converses(asked, head):
            return self._tokenizer.ids(self._rendered(_turns(asked, head)), special=False)
        assert isinstance(asked, str), "a conversation is read through the chat template"
        return self._tokenizer.ids(_plain(asked, head), special=True)

    def lesson(self, asked: Asked, answer: str, head: Mapping[str, Any]) -> Lesson:
        """What is learned from one answer. Raises BadRow."""
        prompt, wanted = self.tokens(asked, head), self._answer(asked, answer, head)
        return Lesson(asked=prompt, answer=wanted, beside=self._beside)

    def text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.text(ids)

    def knows(self, token: int) -> bool:
        return self._tokenizer.knows(token)

    def _converses(self, asked: Asked, head: Mapping[str, Any]) -> bool:
        wanted = head["format"] == "chat" or not isinstance(asked, str)
        if wanted and self._chat is None:
            raise BadRow("the base has no chat template, so it reads plain text only")
        if head["format"] == "plain" and not isinstance(asked, str):
            raise BadRow("the version reads plain text, not a conversation")
        return wanted or (head["format"] == "auto" and self._chat is not None)

    def _rendered(self, turns: Sequence[Message], *, answer: bool = True) -> str:
        assert self._chat is not None
        return self._chat.render(turns, answer=answer)

    def _answer(self, asked: Asked, answer: str, head: Mapping[str, Any]) -> list[int]:
        """The answer as it follows the prompt, up to the token that ends it."""
        if not self._converses(asked, head):
            ids = self._tokenizer.ids(answer, special=self._beside)
            ended = bool(ids) and ids[-1] in self._end_ids
            return ids if ended else [*ids, *self._end_ids[:1]]
        turns = _turns(asked, head)
        before = self._rendered(turns)
        whole = self._rendered([*turns, {"role": "assistant", "content": answer}], answer=False)
        if not whole.startswith(before):
            raise BadRow("the base's chat template changes a conversation when it is answered")
        ids = self._tokenizer.ids(whole[len(before) :], special=False)
        ends = [position for position, token in enumerate(ids) if token in self._end_ids]
        return ids[: ends[0] + 1] if ends else [*ids, *self._end_ids[:1]]


def _turns(asked: Asked, head: Mapping[str, Any]) -> list[Message]:
    """The version's instruction and examples, then what is asked."""
    prompt = head.get("prompt", {})
    given = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)
    turns: list[Message] = []
    if prompt.get("instruction") and given[0]["role"] != "system":
        turns.append({"role": "system", "content": prompt["instruction"]})
    elif given[0]["role"] == "system":
        turns.append(given.pop(0))
    for example in prompt.get("examples", []):
        turns.append({"role": "user", "content": example["input"]})
        turns.append({"role": "assistant", "content": example["output"]})
    return turns + given


def _plain(text: str, head: Mapping[str, Any]) -> str:
    """Instruction, examples and input under each other; a text without a prompt stays as it is."""
    prompt = head.get("prompt")
    if not prompt:
        return text
    examples = [f"{e['input']}\n{e['output']}" for e in prompt["examples"]]
    return "\n\n".join(part for part in (prompt["instruction"], *examples, text) if part) + "\n"
