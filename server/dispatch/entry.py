"""A queue entry: rows of one call and one digest, with their own future and their own lease on the
weights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.port import Array, Failure, Sampling, SequenceOutput


class RowTokens(NamedTuple):
    """One row as the tokenizer gave it."""

    ids: list[int]
    type_ids: list[int]
    #: of a row that the bare base answers: what its hidden states become
    pooling: str | None = None


class Answer(NamedTuple):
    """What became of an entry's rows, in order, and where their time went."""

    rows: Sequence[Array | SequenceOutput | Failure]
    queue_s: float
    compute_s: float


class Lease(Protocol):
    """A promise that what a digest names stays loaded in one generation of the engine."""

    @property
    def digest(self) -> str:
        """Of what must be in a slot; "" for the bare base, which needs none."""
        ...

    @property
    def num_bytes(self) -> int: ...
    @property
    def generation(self) -> int: ...

    def again(self) -> Lease:
        """A second lease on the same."""
        ...

    def release(self) -> None:
        """Gives it back; a second release does nothing."""
        ...


class OutputProcessor(Protocol):
    """What an entry that generates hands its tokens to."""

    def on_tokens(self, output: SequenceOutput) -> bool:
        """Takes what one step generated. True: the sequence ends here, at a stop string."""
        ...

    def finish(self, result: SequenceOutput | Failure) -> None:
        """Takes all that was generated, or why the row failed, once the sequence has ended.

        It is not called for a sequence whose caller is gone, or that ends with an exception.
        """
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """Owned by the batcher from admission until it leaves: it gives back the lease, whatever
    happens.
    """

    rows: list[RowTokens]
    cost: int
    tenant: str
    #: what the metrics call the adapter
    label: str
    priority: int
    deadline: float | None
    enqueued_at: float
    lease: Lease
    future: asyncio.Future[Answer]
    #: how many tokens may be generated after its one row; 0: the rows are only predicted
    max_tokens: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    output: OutputProcessor | None = None
    #: a step with this entry failed as a whole; it is tried once more, in a batch of its own
    alone: bool = False
    #: submitted to the engine and not yet answered
    running: bool = False
    left: bool = False
    num_rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_rows = len(self.rows)

    @property
    def digest(self) -> str:
        """Of what must be in a slot; "" for the bare base, which needs none."""
        return self.lease.digest

    @property
    def num_bytes(self) -> int:
        """What its adapter takes in a slot. One that writes is laid beside its neighbours in a
        second copy.
        """
        return self.lease.num_bytes * (2 if self.max_tokens else 1)

    @property
    def num_writing_tokens(self) -> int:
        """How many tokens the engine may come to hold for the row that writes."""
        return self.cost + self.max_tokens

    @property
    def abandoned(self) -> bool:
        return self.future.cancelled()

    def is_late(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now
