"""An example as the rows that the engine takes. Plain data; knows neither tokenizer nor kinds
of head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.port import Row
from engine.text.tokenizer import Encoding
from trainer.readers.example import Example


def _unread(ids: Sequence[int]) -> str:
    raise AssertionError(f"a row that writes nothing was asked to read {len(ids)} tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One row of the engine, which is all of an example, a window of it or one of its texts."""

    ids: list[int]
    type_ids: list[int] | None
    target: Any
    #: its name among all rows of the job
    key: int = 0

    def row(self, slot: int) -> Row:
        return Row(ids=self.ids, type_ids=self.type_ids, slot=slot)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRow:
    """One example as tokens. `encodings` are kept where answers must be read off per token."""

    pieces: tuple[Piece, ...]
    example: Example
    truncated: bool
    encodings: tuple[Encoding, ...] = ()
    #: what is read before anything is written, and how what was written reads
    asked: tuple[int, ...] = ()
    #: how many tokens have to be written, the one that ends the text included
    answer_tokens: int = 0
    said: Callable[[Sequence[int]], str] = _unread

    @property
    def num_tokens(self) -> int:
        return sum(len(piece.ids) for piece in self.pieces)

    @property
    def target(self) -> Any:
        """Of a row that is one piece."""
        (piece,) = self.pieces
        return piece.target
