"""What a server still holds of versions and tasks that were deleted since, whichever server deleted
them. Knows no memory and no metric.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from adapters_registry.index.withdrawal_index import WithdrawalIndex
from adapters_registry.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Digests that no version has any more, and tasks that are gone, by tenant and name."""

    digests: Collection[str]
    tasks: Collection[tuple[str, str]]


class Withdrawals:
    """Looks only after something changed. In one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._index = WithdrawalIndex(database)
        self._sequence: int | None = None

    def look(
        self,
        list_digests: Callable[[], Collection[str]],
        list_tasks: Callable[[], Collection[tuple[str, str]]],
    ) -> Withdrawn:
        """Which of what is held was withdrawn. Raises StorageError."""
        sequence = self._index.newest_change()
        if sequence == self._sequence:
            return Withdrawn(digests=(), tasks=())
        # listed after the sequence was read: what is deleted in between is found the next time
        digests, tasks = list_digests(), list_tasks()
        published = self._index.list_published(digests)
        withdrawn = Withdrawn(
            digests=[digest for digest in digests if digest not in published],
            tasks=self._list_deleted(tasks),
        )
        self._sequence = sequence
        return withdrawn

    def _list_deleted(self, tasks: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        deleted: list[tuple[str, str]] = []
        for tenant in {tenant for tenant, _ in tasks}:
            names = [name for owner, name in tasks if owner == tenant]
            deleted += [(tenant, name) for name in self._index.list_deleted_tasks(tenant, names)]
        return deleted
