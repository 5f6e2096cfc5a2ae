"""The queue of waiting entries, bounded by rows and tokens. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.dispatch.entry import Answer, Entry
from server.errors import AdapterTooLarge, Draining, Overloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait. If nothing waits, one call is always admitted, however large it is."""

    max_rows: int
    max_tokens: int
    slot_bytes: int


class RequestQueue:
    """Entries in order of arrival."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._entries: list[Entry] = []
        self._closed = False
        self.num_rows = 0
        self.num_tokens = 0
        #: how fast tokens leave the queue; Overloaded computes its retry delay from it
        self.tokens_per_s = 10_000.0

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    def check(self, num_rows: int, num_tokens: int = 0) -> None:
        """Raises Draining or Overloaded."""
        if self._closed:
            raise Draining
        too_many = self.num_rows + num_rows > self._limits.max_rows
        if self._entries and (too_many or self.num_tokens + num_tokens > self._limits.max_tokens):
            raise self._make_overloaded()

    def admit(self, entries: Sequence[Entry]) -> None:
        """Queues all entries of a call or none."""
        self.check(sum(entry.num_rows for entry in entries), sum(entry.cost for entry in entries))
        largest = max((entry.num_bytes for entry in entries), default=0)
        if largest > self._limits.slot_bytes:
            raise AdapterTooLarge(
                f"The adapter needs {largest} bytes of slots; "
                f"this server has {self._limits.slot_bytes}."
            )
        self._entries.extend(entries)
        self._count(entries, 1)

    def put_back(self, entry: Entry) -> None:
        """Puts an entry that has waited already at the front."""
        self._entries.insert(0, entry)
        self._count([entry], 1)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Takes entries out that go to the engine."""
        removed = set(entries)
        self._entries = [entry for entry in self._entries if entry not in removed]
        self._count(entries, -1)

    def leave(self, entry: Entry, outcome: Answer | Exception | None) -> None:
        """Releases the lease of a waiting or running entry and resolves its future, once."""
        if entry.left:
            return
        entry.left = True
        entry.lease.release()
        if entry in self._entries:
            self.remove([entry])
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
        for entry in list(self._entries):
            self.leave(entry, Draining())

    def _count(self, entries: Sequence[Entry], sign: int) -> None:
        self.num_rows += sign * sum(entry.num_rows for entry in entries)
        self.num_tokens += sign * sum(entry.cost for entry in entries)

    def _make_overloaded(self) -> Overloaded:
        retry_after_s = min(60.0, max(0.05, self.num_tokens / self.tokens_per_s))
        return Overloaded(
            f"{self.num_rows} rows ({self.num_tokens} tokens) are waiting, as many as may; "
            f"try again in {retry_after_s:.2f} s.",
            retry_after_s=retry_after_s,
        )
