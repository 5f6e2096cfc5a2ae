"""Chooses the entries of the next forward: a pure function of what is due, slots, limits and clock.

Knows no asyncio, no torch, and nothing of whose turn it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What the queue and the decision need to know about an entry: rows of one call and one digest,
    which stay together.
    """

    @property
    def tenant(self) -> str: ...
    @property
    def digest(self) -> str:
        """The digest of the adapter that needs a slot; "" for the bare base, which needs none."""
        ...

    @property
    def num_bytes(self) -> int: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def cost(self) -> int:
        """Its tokens."""
        ...

    @property
    def priority(self) -> int: ...
    @property
    def deadline(self) -> float | None: ...
    @property
    def enqueued_at(self) -> float: ...
    @property
    def abandoned(self) -> bool: ...
    @property
    def alone(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """The budgets of one forward and of the slots."""

    max_tokens: int
    max_rows: int
    num_slots: int
    slot_bytes: int
    #: once an entry has waited this long for a slot, others of its tenant may not overtake it
    patience_s: float = 0.1
    #: how many entries of a tenant are passed over before it is left out of a batch; where several
    #: are passed over, each after the first has fewer
    max_passed: int = 256


W = TypeVar("W", bound=Waiting)
Each = TypeVar("Each", bound=Waiting, covariant=True)


class Due(Protocol[Each]):
    """The waiting entries in the order of turns; each is taken unless it is passed over."""

    def __iter__(self) -> Iterator[Each]: ...
    def pass_over(self, *, leave_out: bool = False) -> None:
        """Of the latest entry: it is not taken, so it moves no turn. `leave_out`: nor is any later
        one of its tenant.
        """
        ...


class Patience:
    """How long the entries of a tenant may overtake one that cannot be taken yet.

    No tenant's passes are at the cost of another: who passes too often is left out alone.
    """

    def __init__(self, patience_s: float, max_passed: int, now: float) -> None:
        self._patience_s, self._max_passed, self._now = patience_s, max_passed, now
        self._num_passed = Counter[str]()

    def has_ended(self, entry: Waiting) -> bool:
        return self._now - entry.enqueued_at >= self._patience_s

    def allows_more(self, entry: Waiting) -> bool:
        """Counts that the entry is passed over. False: no other may overtake it."""
        self._num_passed[entry.tenant] += 1
        # with many tenants a look at each must not cost as many entries as a look at one
        most = self._max_passed // len(self._num_passed)
        return not self.has_ended(entry) and self._num_passed[entry.tenant] < most


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[W]):
    """`chosen` go into one forward, rows of one digest side by side; `dropped` are expired or
    abandoned.
    """

    chosen: list[W]
    dropped: list[W]


def decide(due: Due[W], leased: Mapping[str, int], limits: BatchLimits, now: float) -> Decision[W]:
    """`due` is the queue in the order of turns, read only as far as the batch goes; `leased` holds
    digest and bytes of each slot that a running generation uses.

    An entry whose adapter finds no slot is passed over. For `patience_s` it delays only itself,
    then its tenant, which chooses first in one of the next batches because it got nothing. It never
    delays another tenant.
    """
    batch: _Batch[W] = _Batch(limits, leased)
    patience = Patience(limits.patience_s, limits.max_passed, now)
    dropped: list[W] = []
    for entry in due:
        if _is_expired(entry, now):
            dropped.append(entry)
            due.pass_over()
        elif batch.has_slot(entry):
            if not batch.add(entry):
                break
        else:
            due.pass_over(leave_out=not patience.allows_more(entry))
    return Decision(chosen=_group_by_digest(batch.chosen), dropped=dropped)


class _Batch(Generic[W]):
    """The batch that is being filled."""

    def __init__(self, limits: BatchLimits, leased: Mapping[str, int]) -> None:
        self.chosen: list[W] = []
        self._limits = limits
        self._held = dict(leased)
        self._held_bytes = sum(leased.values())
        self._num_tokens = self._num_rows = 0

    def add(self, entry: W) -> bool:
        """Chooses the entry if it fits. False: the batch is as full as it gets."""
        if self.chosen and (self._is_full(entry) or entry.alone):
            return False
        if entry.digest and entry.digest not in self._held:
            self._held[entry.digest] = entry.num_bytes
            self._held_bytes += entry.num_bytes
        self.chosen.append(entry)
        self._num_tokens += entry.cost
        self._num_rows += entry.num_rows
        return not entry.alone

    def _is_full(self, entry: W) -> bool:
        return (
            self._num_tokens + entry.cost > self._limits.max_tokens
            or self._num_rows + entry.num_rows > self._limits.max_rows
        )

    def has_slot(self, entry: W) -> bool:
        return (
            not entry.digest
            or entry.digest in self._held
            or (
                len(self._held) < self._limits.num_slots
                and self._held_bytes + entry.num_bytes <= self._limits.slot_bytes
            )
        )


def _is_expired(entry: Waiting, now: float) -> bool:
    return entry.abandoned or (entry.deadline is not None and entry.deadline <= now)


def band(entry: Waiting, ageing_s: float, now: float) -> int:
    """The priority band, one better for each `ageing_s` that the entry has waited."""
    return max(0, entry.priority - int((now - entry.enqueued_at) / ageing_s))


def _group_by_digest(chosen: Sequence[W]) -> list[W]:
    groups: dict[str, list[W]] = {}
    for entry in chosen:
        groups.setdefault(entry.digest, []).append(entry)
    return [entry for group in groups.values() for entry in group]
