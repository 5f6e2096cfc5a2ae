"""A row that writes and what it does in one forward: values that readers and writing share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from engine.adapters.resident import Placed
from engine.generation.sampling import RowSampler


@dataclass(slots=True, eq=False, kw_only=True)
class SequenceState:
    """A row that began and has not ended."""

    key: int
    #: rows are counted as they begin
    number: int
    slot: int
    #: what its slot must still hold, under this digest or, in training, under none
    digest: str | None
    placed: Placed | None
    #: rows of one salt and digest may share what they read; "" shares nothing
    salt: str
    #: the prompt and what was written after it
    ids: list[int]
    num_prompt: int
    #: how many tokens it may write
    max_tokens: int
    sampler: RowSampler
    #: tokens of the prompt that were found read
    num_cached: int = 0

    @property
    def num_written(self) -> int:
        return len(self.ids) - self.num_prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledChunk:
    """The base reads so many of a row's tokens from `start` on."""

    row: SequenceState
    start: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.count

    @property
    def writes(self) -> bool:
        """Whether nothing is left to read, so that a token is written."""
        return self.stop == len(self.row.ids)


class SequenceRunner(Protocol):
    """How a base reads running rows on, and where it keeps what it read."""

    @property
    def num_blocks(self) -> int: ...

    @property
    def used_blocks(self) -> int: ...

    def admit(self, row: SequenceState) -> None:
        """Keep a place for what a row will have read. Raises BadRow where it could never end."""
        ...

    def schedule(
        self, rows: Sequence[SequenceState], max_tokens: int
    ) -> list[list[ScheduledChunk]]:
        """Who goes on now, in groups of one forward each; `rows` are in order of rank.

        Rows that go on with what they wrote always do so where memory allows; of prompts all rows
        together read at most `max_tokens`.
        """
        ...

    def run(self, scheduled: Sequence[ScheduledChunk]) -> Tensor:
        """One forward: logits [W, V] of those turns that write, in order.

        When it raises, nothing has changed.
        """
        ...

    def forget(self, key: int) -> None:
        """Give up what an admitted row has read."""
        ...
