"""An example as the rows that the engine takes. Plain data; knows neither tokenizer nor kinds
of head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.port import Row
from engine.text.tokenizer import Encoding
from trainer.readers.example import Example


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
    #: the prompt's tokens, where the answer is generated
    asked: tuple[int, ...] = ()
    #: how many tokens the answer has, the one that ends it included
    answer_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return sum(len(piece.ids) for piece in self.pieces)

    @property
    def target(self) -> Any:
        """Of a row that is one piece."""
        (piece,) = self.pieces
        return piece.target
