"""What is written, as a caller reads it. Plain values; knows no transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.service.values import RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts of tokens; those of the prompt that had been read before are among its own."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLogprob:
    """A token that could stand at a place of the text, and the logarithm of its probability."""

    text: str
    bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionToken:
    """A token that was written, where its text begins, and the likeliest ones at its place."""

    chosen: TopLogprob
    offset: int
    top: Sequence[TopLogprob] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionChunk:
    """More of one row's text. The last piece of a row says why it ends: `finish` or `error`."""

    row: int
    text: str = ""
    tokens: Sequence[CompletionToken] = ()
    finish: str = ""
    usage: Usage | None = None
    error: RowError | None = None

    @property
    def is_last(self) -> bool:
        return bool(self.finish) or self.error is not None
