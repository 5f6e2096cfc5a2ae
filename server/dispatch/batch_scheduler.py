"""Chooses the entries of the next forward: a pure function of queue, slots, limits and clock.

Knows no asyncio and no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What the decision needs to know about a queue entry: rows of one call and one digest, which
    stay together.
    """

    @property
    def digest(self) -> str:
        """The digest of the adapter that needs a slot; "" for the bare base, which needs none."""
        ...

    @property
    def num_bytes(self) -> int: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def cost(self) -> int: ...
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
    """The budgets of one forward and of the slots, and the two times that prevent starvation."""

    max_tokens: int
    max_rows: int
    #: how many tokens must wait for a batch to be sent while another one is still running
    ahead_tokens: int
    num_slots: int
    slot_bytes: int
    #: an entry rises one priority band each time it has waited this long
    ageing_s: float = 1.0
    #: once an entry has waited this long for a slot, younger entries may not overtake it
    patience_s: float = 0.1


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[W]):
    """`chosen` go into one forward, rows of one digest side by side; `dropped` are expired or
    abandoned.
    """

    chosen: list[W]
    dropped: list[W]


def decide(
    queue: Sequence[W], leased: Mapping[str, int], limits: BatchLimits, now: float
) -> Decision[W]:
    """`queue` is in order of arrival; `leased` holds digest and bytes of each slot in use.

    If no batch is in flight, the first entry in order is always chosen.
    """
    dropped = [entry for entry in queue if _is_expired(entry, now)]
    live = [entry for entry in queue if not _is_expired(entry, now)] if dropped else list(queue)
    if any(entry.priority for entry in live):
        # stable: FIFO within a band
        live.sort(key=lambda entry: band(entry, limits.ageing_s, now))
    return Decision(chosen=_group_by_digest(_fill(live, leased, limits, now)), dropped=dropped)


def _is_expired(entry: Waiting, now: float) -> bool:
    return entry.abandoned or (entry.deadline is not None and entry.deadline <= now)


def band(entry: Waiting, ageing_s: float, now: float) -> int:
    """The priority band, one better for each `ageing_s` that the entry has waited."""
    return max(0, entry.priority - int((now - entry.enqueued_at) / ageing_s))


def _fill(live: Sequence[W], leased: Mapping[str, int], limits: BatchLimits, now: float) -> list[W]:
    chosen: list[W] = []
    held = dict(leased)
    held_bytes = sum(held.values())
    num_tokens = num_rows = 0
    for entry in live:
        full = (
            num_tokens + entry.cost > limits.max_tokens
            or num_rows + entry.num_rows > limits.max_rows
        )
        if chosen and (full or entry.alone):
            break
        if entry.digest and entry.digest not in held:
            if len(held) >= limits.num_slots or held_bytes + entry.num_bytes > limits.slot_bytes:
                if now - entry.enqueued_at >= limits.patience_s:
                    break
                continue  # without a free slot it delays only itself
            held[entry.digest] = entry.num_bytes
            held_bytes += entry.num_bytes
        chosen.append(entry)
        num_tokens, num_rows = num_tokens + entry.cost, num_rows + entry.num_rows
        if entry.alone:
            break
    return chosen


def _group_by_digest(chosen: Sequence[W]) -> list[W]:
    groups: dict[str, list[W]] = {}
    for entry in chosen:
        groups.setdefault(entry.digest, []).append(entry)
    return [entry for group in groups.values() for entry in group]
