"""A queue entry: rows of one call and one digest, with a future and a lease on the weights."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.port import Array, Failure, Sampling, SequenceOutput


class RowTokens(NamedTuple):
    """One row as the tokenizer returned it."""

    ids: list[int]
    type_ids: list[int]
    #: how the hidden states of a row for the bare base are pooled
    pooling: str | None = None


class Answer(NamedTuple):
    """The results of an entry's rows, in order, and where their time went."""

    rows: Sequence[Array | SequenceOutput | Failure]
    queue_s: float
    compute_s: float


class Lease(Protocol):
    """Keeps the weights of a digest loaded in one generation of the engine."""

    @property
    def digest(self) -> str:
        """The digest that must be in a slot; "" for the bare base, which needs none."""
        ...

    @property
    def num_bytes(self) -> int: ...
    @property
    def generation(self) -> int: ...

    def duplicate(self) -> Lease:
        """A second lease on the same weights."""
        ...

    def release(self) -> None:
        """Ends the lease; a second release does nothing."""
        ...


class OutputProcessor(Protocol):
    """Receives the tokens of an entry that generates."""

    def on_tokens(self, output: SequenceOutput) -> bool:
        """Receives what one step generated. True: a stop string ends the sequence here."""
        ...

    def finish(self, result: SequenceOutput | Failure) -> None:
        """Receives all that was generated, or why the row failed, when the sequence has ended.

        It is not called if the caller has left or the sequence ends with an exception.
        """
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """The batcher or the generation loop owns an entry from admission until it leaves, and releases
    its lease in any case.
    """

    rows: list[RowTokens]
    cost: int
    tenant: str
    #: the adapter's name in metrics
    label: str
    priority: int
    deadline: float | None
    enqueued_at: float
    lease: Lease
    future: asyncio.Future[Answer]
    #: how many tokens may be generated after its one row; 0: its rows are only predicted
    max_tokens: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    output: OutputProcessor | None = None
    #: a step with this entry failed as a whole; it is retried once, in a batch of its own
    alone: bool = False
    #: submitted to the engine and not yet answered
    running: bool = False
    left: bool = False
    num_rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_rows = len(self.rows)

    @property
    def digest(self) -> str:
        """The digest that must be in a slot; "" for the bare base, which needs none."""
        return self.lease.digest

    @property
    def num_bytes(self) -> int:
        """The bytes of its adapter in a slot."""
        return self.lease.num_bytes

    @property
    def max_total_tokens(self) -> int:
        """How many tokens the engine may hold for the row at the end of its generation."""
        return self.cost + self.max_tokens

    @property
    def abandoned(self) -> bool:
        return self.future.cancelled()

    def is_late(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now
