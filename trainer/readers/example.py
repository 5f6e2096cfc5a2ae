"""One labelled row, as every head's reader makes it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from engine.text.conversation import Conversation, Message

#: classify: a name, or a sorted tuple of them; regress and rerank: a number; tag: a tag per word;
#: span: (answer, first character) for each answer; embed: how alike, or None; generate: a text
Label = str | float | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A message of an assistant that is learned, and the conversation before it."""

    asked: Conversation
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
    #: what is learned of a conversation; the last of them is asked for and judged
    turns: tuple[Turn, ...] = ()

    @property
    def group(self) -> str:
        """The same for texts that differ only in case, spaces and the composition of letters: they
        must stay in one split.
        """
        parts = (normalize("NFC", part.casefold()) for part in (self.text, self.pair or ""))
        return "\0".join(" ".join(part.split()) for part in parts)
