"""The state of a running sequence, its chunk in one forward, and the interface of the runners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from engine.adapters.resident import Placed
from engine.generation.sampling import RowSampler


@dataclass(slots=True, eq=False, kw_only=True)
class SequenceState:
    """A row that is being generated."""

    key: int
    #: how many rows started before it
    number: int
    slot: int
    #: the adapter that its slot must still hold; None for the base and for a slot in training
    digest: str | None
    placed: Placed | None
    #: rows with the same salt and digest may share cached prefixes; "" shares nothing
    salt: str
    #: the prompt and the generated tokens
    ids: list[int]
    num_prompt: int
    #: how many tokens it may generate
    max_tokens: int
    sampler: RowSampler
    #: tokens of the prompt whose keys and values came from the cache
    num_cached: int = 0

    @property
    def num_generated(self) -> int:
        return len(self.ids) - self.num_prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledChunk:
    """The `count` tokens of a row from `start` on, computed in one forward."""

    row: SequenceState
    start: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.count

    @property
    def samples_token(self) -> bool:
        """Whether the chunk ends the row's tokens, so that the next token is sampled."""
        return self.stop == len(self.row.ids)


class SequenceRunner(Protocol):
    """How running rows are scheduled and computed, and where their keys and values are cached."""

    @property
    def num_blocks(self) -> int: ...

    @property
    def used_blocks(self) -> int: ...

    def admit(self, row: SequenceState) -> None:
        """Register a row. Raises BadRow where the cache could never hold all of its tokens."""
        ...

    def schedule(
        self, rows: Sequence[SequenceState], max_tokens: int
    ) -> list[list[ScheduledChunk]]:
        """The chunks to compute now, in groups of one forward each; `rows` are in order of rank.

        Every row that decodes is scheduled where memory allows; the prompts of all rows together
        get at most `max_tokens` tokens.
        """
        ...

    def run(self, scheduled: Sequence[ScheduledChunk]) -> Tensor:
        """One forward: logits [W, V] of the chunks that sample a token, in order.

        When it raises, no state has changed.
        """
        ...

    def forget(self, key: int) -> None:
        """Free the cache of an admitted row."""
        ...
