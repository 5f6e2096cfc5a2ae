"""The queue of waiting entries, bounded by rows and tokens, with a share of the room for every
tenant. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from server.dispatch.entry import Answer, Entry
from server.dispatch.fair_queue import FairQueue
from server.dispatch.turns import Turns
from server.errors import AdapterTooLarge, Draining, Overloaded

#: a tenant may hold this many times what is still free: alone it takes all but a ninth, and the
#: more others hold the less it may
_TIMES_FREE = 8.0
#: whatever its weight, so that it leaves a seventeenth to the others
_MOST_TIMES_FREE = 16.0
#: whatever others hold, a tenant may hold one of so many parts of the room
_LEAST_SHARES = 64
#: first calls and least parts wait beyond the room, too, until it is full so many times
_MOST_TIMES_ROOM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait. If nothing of a tenant waits, one call of it is admitted, however large
    it is, unless twice as much as this would wait.
    """

    max_rows: int
    max_tokens: int
    slot_bytes: int
    #: what the weights of the base take
    base_bytes: int = 2**30
    #: by tenant, of both turns and room; 1 for a tenant that is not listed
    weights: Mapping[str, float] = field(default_factory=dict)
    #: an entry rises one priority band each time it has waited this long
    ageing_s: float = 1.0


class RequestQueue:
    """Entries of all tenants, in the order of turns.

    A tenant may hold only a multiple of the room that is free (dynamic thresholds: Choudhury, Hahne
    1998), so a full queue refuses who filled it, and there is room for who comes. A small part of
    the room is each tenant's own, whatever others hold.
    """

    def __init__(
        self, limits: QueueLimits, observe_refusal: Callable[[str], object] = lambda _: None
    ) -> None:
        self._limits, self._observe_refusal = limits, observe_refusal
        self._queue: FairQueue[Entry] = FairQueue(
            weights=limits.weights, base_bytes=limits.base_bytes, ageing_s=limits.ageing_s
        )
        self._closed = False
        #: how fast tokens leave the queue; Overloaded computes its retry delay from it
        self.tokens_per_s = 10_000.0

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def entries(self) -> Iterable[Entry]:
        """All that wait, which takes as long as they are many."""
        return list(self._queue)

    @property
    def num_rows(self) -> int:
        return self._queue.num_rows

    @property
    def num_tokens(self) -> int:
        return self._queue.num_tokens

    @property
    def tokens_by_tenant(self) -> dict[str, int]:
        """Of each tenant that waits."""
        return {queue.name: queue.num_tokens for queue in self._queue.waiting}

    def in_turn(self, now: float) -> Turns[Entry]:
        """The entries in the order in which they are due; see `FairQueue`."""
        return self._queue.in_turn(now)

    def times_free(self, tenant: str) -> float:
        """How many times what is free the tenant may hold."""
        return min(_MOST_TIMES_FREE, _TIMES_FREE * self._queue.weight(tenant))

    def check(self, tenant: str, num_rows: int, num_tokens: int = 0) -> None:
        """Raises Draining or Overloaded."""
        if self._closed:
            raise Draining
        queue, limits = self._queue.of(tenant), self._limits
        held_rows, held_tokens = (queue.num_rows, queue.num_tokens) if queue else (0, 0)
        rows = _Room(most=limits.max_rows, waiting=self.num_rows, held=held_rows)
        tokens = _Room(most=limits.max_tokens, waiting=self.num_tokens, held=held_tokens)
        times = self.times_free(tenant)
        if not (rows.allows(num_rows, times) and tokens.allows(num_tokens, times)):
            self._observe_refusal(tenant)
            raise self._make_overloaded(tenant, rows, tokens, num_rows)

    def admit(self, entries: Sequence[Entry]) -> None:
        """Queues all entries of a call or none."""
        if not entries:
            return
        self.check(
            entries[0].tenant,
            sum(entry.num_rows for entry in entries),
            sum(entry.cost for entry in entries),
        )
        largest = max(entry.num_bytes for entry in entries)
        if largest > self._limits.slot_bytes:
            raise AdapterTooLarge(
                f"The adapter needs {largest} bytes of slots; "
                f"this server has {self._limits.slot_bytes}."
            )
        self._queue.add(entries)

    def put_back(self, entry: Entry) -> None:
        """Makes an entry that was taken before the next of its tenant."""
        self._queue.put_back(entry)

    def take(self, entries: Sequence[Entry]) -> None:
        """Takes entries out that go to the engine."""
        self._queue.take(entries)

    def charge(self, entry: Entry, num_tokens: int) -> None:
        """Counts tokens that were generated for an entry; they are its tenant's turn, too."""
        self._queue.charge(entry.tenant, num_tokens)

    def leave(self, entry: Entry, outcome: Answer | Exception | None) -> None:
        """Releases the lease of a waiting or running entry and resolves its future, once."""
        if entry.left:
            return
        entry.left = True
        entry.lease.release()
        if entry in self._queue:
            self._queue.remove(entry)
        if entry.future.done() or outcome is None:
            return
        if isinstance(outcome, Exception):
            entry.future.set_exception(outcome)
        else:
            entry.future.set_result(outcome)

    def abandon(self, entry: Entry) -> None:
        """Removes the entry of a caller who has left.

        A running entry keeps its lease until the engine is done with it.
        """
        if entry.future.done() and not entry.future.cancelled():
            entry.future.exception()  # retrieved: the caller got this error or another entry's
        entry.future.cancel()
        if not entry.running:
            self.leave(entry, None)

    def close(self) -> None:
        """Fails waiting entries with Draining and admits no more."""
        self._closed = True
        for entry in self.entries:
            self.leave(entry, Draining())

    def _make_overloaded(
        self, tenant: str, rows: _Room, tokens: _Room, num_rows: int
    ) -> Overloaded:
        # who has nothing waiting is refused only if others hold twice the room
        share = self._queue.share(tenant) if tokens.held else 1.0
        ahead = tokens.held or tokens.waiting
        retry_after_s = min(60.0, max(0.05, ahead / (share * self.tokens_per_s)))
        return Overloaded(
            f"{_count(rows.held, 'row')} ({_count(tokens.held, 'token')}) of tenant {tenant} and "
            f"{_count(rows.waiting - rows.held, 'row')} of others are waiting; "
            f"{_count(num_rows, 'row')} more of {tenant} would be too much. "
            f"Try again in {retry_after_s:.2f} s.",
            retry_after_s=retry_after_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """The room for rows or for tokens: how much there is, how much waits, and what of it is the
    tenant's.
    """

    most: int
    waiting: int
    held: int

    def allows(self, more: int, times_free: float) -> bool:
        """Whether the tenant may add so much."""
        if self.waiting > self.most and self.waiting + more > _MOST_TIMES_ROOM * self.most:
            return False
        free, held = self.most - self.waiting, self.held + more
        return (
            not self.held
            or held <= self.most // _LEAST_SHARES
            or (more <= free and held <= times_free * free)
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
