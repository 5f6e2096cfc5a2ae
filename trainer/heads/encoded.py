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
    """One row of the engine: a whole example, a window of it, or one of its texts."""

    ids: list[int]
    type_ids: list[int] | None
    target: Any
    #: identifies the piece among all rows of the job
    key: int = 0

    def row(self, slot: int) -> Row:
        return Row.of(ids=self.ids, type_ids=self.type_ids, slot=slot)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRow:
    """One example as tokens. `encodings` are kept for heads that answer per token."""

    pieces: tuple[Piece, ...]
    example: Example
    truncated: bool
    encodings: tuple[Encoding, ...] = ()
    #: the prompt's tokens, where the answer is generated
    prompt_ids: tuple[int, ...] = ()
    #: the number of tokens of the answer, including its end token
    answer_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return sum(len(piece.ids) for piece in self.pieces)

    @property
    def target(self) -> Any:
        """The target of a row with one piece."""
        (piece,) = self.pieces
        return piece.target
