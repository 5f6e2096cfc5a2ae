"""A queue entry: rows of one call and one digest, with their own future and their own lease on the
weights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.port import Array, Failure, SequenceOutput
from server.dispatch.bare_lease import BareLease
from server.dispatch.compositions import JointLease
from server.dispatch.draft import GenerationParams
from server.dispatch.residency import Lease


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
    lease: Lease | JointLease | BareLease
    future: asyncio.Future[Answer]
    #: of an entry of one row that writes
    draft: GenerationParams | None = None
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
        return self.lease.num_bytes * (1 if self.draft is None else 2)

    @property
    def num_writing_tokens(self) -> int:
        """How many tokens the engine may come to hold for the row that writes."""
        return self.cost + (self.draft.max_tokens if self.draft else 0)

    @property
    def abandoned(self) -> bool:
        return self.future.cancelled()

    def is_late(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now
