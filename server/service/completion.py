"""Completions as callers read them. Plain values; knows no transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.service.values import RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts of tokens; `cached_tokens` are included in `prompt_tokens`."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLogprob:
    """A possible token at a position, with the logarithm of its probability."""

    text: str
    bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionToken:
    """A generated token, the offset of its text, and the most likely tokens at its position."""

    chosen: TopLogprob
    offset: int
    top: Sequence[TopLogprob] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionChunk:
    """The next text of one row. The last chunk of a row has `finish` or `error`."""

    row: int
    text: str = ""
    tokens: Sequence[CompletionToken] = ()
    finish: str = ""
    usage: Usage | None = None
    error: RowError | None = None

    @property
    def is_last(self) -> bool:
        return bool(self.finish) or self.error is not None
