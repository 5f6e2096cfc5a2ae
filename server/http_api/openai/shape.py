"""The part of a response that completions and chat completions share: its envelope and usage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.service.completion import CompletionChunk, Usage
from server.service.resolved_model import ResolvedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(ABC):
    """Renders the chunks of one call; a subclass renders a choice. Each prompt has `num_texts`
    rows, and its tokens count once.
    """

    id: str
    created: int
    model: str
    resolved: ResolvedModel
    num_texts: int
    includes_usage: bool
    with_logprobs: bool
    _usages: dict[int, Usage] = field(init=False, default_factory=dict)
    _begun: set[int] = field(init=False, default_factory=set)

    whole_object = ""
    chunk_object = ""

    @abstractmethod
    def choice(self, piece: CompletionChunk) -> dict[str, Any]:
        """The choice of a whole text."""

    @abstractmethod
    def deltas(self, piece: CompletionChunk, *, is_first: bool) -> Sequence[dict[str, Any]]:
        """The choices of the chunks that continue a text."""

    def whole(self, pieces: Sequence[CompletionChunk]) -> dict[str, Any]:
        self._count(pieces)
        choices = [self.choice(piece) for piece in pieces]
        return self._envelope(self.whole_object, choices) | {"usage": self.usage}

    def chunks(self, piece: CompletionChunk) -> list[dict[str, Any]]:
        is_first = piece.row not in self._begun
        self._begun.add(piece.row)
        self._count([piece])
        usage = {"usage": None} if self.includes_usage else {}
        return [
            self._envelope(self.chunk_object, [delta]) | usage
            for delta in self.deltas(piece, is_first=is_first)
        ]

    def last_chunks(self) -> list[dict[str, Any]]:
        if not self.includes_usage:
            return []
        return [self._envelope(self.chunk_object, []) | {"usage": self.usage}]

    @property
    def usage(self) -> dict[str, Any]:
        firsts = [usage for row, usage in self._usages.items() if row % self.num_texts == 0]
        prompt = sum(usage.prompt_tokens for usage in firsts)
        written = sum(usage.completion_tokens for usage in self._usages.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {
                "cached_tokens": sum(usage.cached_tokens for usage in firsts)
            },
        }

    def _count(self, pieces: Sequence[CompletionChunk]) -> None:
        self._usages.update({piece.row: piece.usage for piece in pieces if piece.usage})

    def _envelope(self, kind: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_" + self.resolved.digest.removeprefix("sha256:")[:12],
            "choices": choices,
        }
