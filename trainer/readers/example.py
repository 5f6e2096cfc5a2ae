"""One labelled row, as the readers of all heads make it. Plain data; knows no head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from engine.text.conversation import Conversation, Message

#: classify: a name, or a sorted tuple of them; regress and rerank: a number; tag: a tag per word;
#: span: (answer, first character) for each answer; embed: a similarity or None; generate: a text
Label = str | float | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A message of an assistant that is trained on, and the conversation before it."""

    prompt: Conversation
    answer: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled row. A tagging row has the `words` of its `text` and as many tags; any other may
    have a `pair`; of a span row text and pair are question and context.
    """

    line: int
    text: str
    label: Label
    pair: str | None = None
    words: tuple[str, ...] = ()
    #: the trained turns of a conversation; only the last is evaluated
    turns: tuple[Turn, ...] = ()

    @property
    def group(self) -> str:
        """Equal for texts that differ only in case, spaces and the composition of letters, which
        must stay in one part of the split.
        """
        parts = (normalize("NFC", part.casefold()) for part in (self.text, self.pair or ""))
        return "\0".join(" ".join(part.split()) for part in parts)
