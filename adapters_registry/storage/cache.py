"""What refs resolved to lately, in memory.

Bounded, shared fairly among tenants, and emptied of a task whenever something of it changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters_registry.values import Changes, Version

Key = tuple[str, str]  # tenant, ref


@dataclass(slots=True, kw_only=True)
class _Refs:
    """Of one tenant, least recently used first; and which refs name each task."""

    versions: OrderedDict[str, Version] = field(default_factory=OrderedDict)
    by_task: dict[str, set[str]] = field(default_factory=dict)


class ResolveCache:
    """Answers for one generation of the index.

    Staleness: none that a caller could notice. The generation is read before every answer, so an
    answer is never older than the last commit that was visible when the call began, whichever
    thread or process made that commit. Once the generation has moved, the changes since the last
    one seen are read, and what they name is dropped; all else stays. A version that was looked up
    while changes were read is not kept.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._tenants: dict[str, _Refs] = {}
        self._num_entries = 0
        self._generation: int | None = None
        #: of the last change that was dropped; None before any was read
        self._sequence: int | None = None
        self._lock = threading.Lock()

    @property
    def num_entries(self) -> int:
        return self._num_entries

    def resolve(
        self,
        key: Key,
        generation: int,
        changes_since: Callable[[int | None], Changes],
        look_up: Callable[[], Version],
    ) -> Version:
        """The version under the key. `changes_since` and `look_up` ask the index: for the tasks
        that changed after a sequence number, and for the version.
        """
        with self._lock:
            is_current, seen = generation == self._generation, self._sequence
        # outside the lock: while the index answers one caller, others find what is cached
        changes = None if is_current else changes_since(seen)
        with self._lock:
            if changes is not None:
                self._drop_changed(changes)
                self._generation = generation
            if (version := self._touch(key)) is not None:
                return version
            sequence = self._sequence
        version = look_up()
        with self._lock:
            if sequence == self._sequence:
                self._put(key, version)
        return version

    def _drop_changed(self, changes: Changes) -> None:
        if self._sequence is not None and changes.sequence <= self._sequence:
            return  # another caller read them, and perhaps more
        self._sequence = changes.sequence
        if changes.tasks is None:
            self._tenants.clear()
            self._num_entries = 0
            return
        for tenant, task in changes.tasks:
            refs = self._tenants.get(tenant)
            for ref in refs.by_task.get(task, set()).copy() if refs else ():
                self._drop(tenant, ref)

    def _touch(self, key: Key) -> Version | None:
        tenant, ref = key
        refs = self._tenants.get(tenant)
        version = refs.versions.get(ref) if refs else None
        if refs is not None and version is not None:
            refs.versions.move_to_end(ref)
        return version

    def _put(self, key: Key, version: Version) -> None:
        tenant, ref = key
        refs = self._tenants.setdefault(tenant, _Refs())
        self._num_entries += ref not in refs.versions
        refs.versions[ref] = version
        refs.by_task.setdefault(version.task, set()).add(ref)
        while self._num_entries > self._max_entries:
            self._drop_oldest(tenant)

    def _drop_oldest(self, tenant: str) -> None:
        """Of the tenant that asks, if it has more than its share, else of who has most."""
        if len(self._tenants[tenant].versions) <= self._max_entries // len(self._tenants):
            tenant = max(self._tenants, key=lambda name: len(self._tenants[name].versions))
        self._drop(tenant, next(iter(self._tenants[tenant].versions)))

    def _drop(self, tenant: str, ref: str) -> None:
        refs = self._tenants[tenant]
        task = refs.versions.pop(ref).task
        refs.by_task[task].remove(ref)
        if not refs.by_task[task]:
            del refs.by_task[task]
        if not refs.versions:
            del self._tenants[tenant]
        self._num_entries -= 1
