"""What refs resolved to lately, in memory.

Bounded, shared fairly among tenants, and emptied of a task whenever something of it changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters_registry.errors import NotFound
from adapters_registry.values import Changes, Version

Key = tuple[str, str]  # tenant, ref


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a ref of a task named: a version, or nothing, for the reason of the error."""

    task: str
    answer: Version | NotFound

    def version(self) -> Version:
        if isinstance(self.answer, NotFound):  # anew: a raised error holds on to its frames
            raise type(self.answer)(str(self.answer), **self.answer.facts)
        return self.answer


@dataclass(slots=True, kw_only=True)
class _Refs:
    """Of one tenant, least recently used first; and which refs name each task."""

    versions: OrderedDict[str, _Known] = field(default_factory=OrderedDict)
    by_task: dict[str, set[str]] = field(default_factory=dict)


class ResolveCache:
    """What refs resolved to, as of the last change that was seen.

    Whoever owns it reads the changes since then and hands them in; what they name is dropped, and
    all else stays. A version that was looked up while changes came in is not kept.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._tenants: dict[str, _Refs] = {}
        self._num_entries = 0
        #: of the last change that was dropped; None before any was read
        self._sequence: int | None = None
        #: counts what was dropped, so that an older look-up is not kept
        self._num_drops = 0
        self._lock = threading.Lock()

    @property
    def num_entries(self) -> int:
        return self._num_entries

    @property
    def sequence(self) -> int | None:
        """Of the last change that was seen; None before any."""
        return self._sequence

    def find(self, key: Key) -> Version | None:
        """None where the ref is not known. Raises NotFound where it is known to name nothing."""
        with self._lock:
            known = self._touch(key)
        return None if known is None else known.version()

    def fill(self, key: Key, task: str, look_up: Callable[[], Version]) -> Version:
        """The version of the task that `look_up` finds, kept for the next time, as is that there is
        none. Raises NotFound.
        """
        with self._lock:
            num_drops = self._num_drops
        answer: Version | NotFound
        try:
            answer = look_up()
        except NotFound as error:
            answer = error
        known = _Known(task=task, answer=answer)
        with self._lock:
            # before the first look at the changes, it is unknown what is newer than the version
            if num_drops == self._num_drops and self._sequence is not None:
                self._put(key, known)
        return known.version()

    def see(self, changes: Changes) -> None:
        """Drop what these changes name."""
        with self._lock:
            self._drop_changed(changes)

    def drop(self, tenant: str, task: str) -> None:
        """What was just written here is seen at once, whenever the changes are read."""
        with self._lock:
            self._num_drops += 1
            self._drop_task(tenant, task)

    def _drop_changed(self, changes: Changes) -> None:
        is_known = self._sequence is not None and changes.sequence <= self._sequence
        if changes.tasks is not None and is_known:
            return  # another caller read them, and perhaps more
        self._sequence = changes.sequence
        self._num_drops += 1
        if changes.tasks is None:
            self._tenants.clear()
            self._num_entries = 0
            return
        for tenant, task in changes.tasks:
            self._drop_task(tenant, task)

    def _drop_task(self, tenant: str, task: str) -> None:
        refs = self._tenants.get(tenant)
        for ref in refs.by_task.get(task, set()).copy() if refs else ():
            self._drop(tenant, ref)

    def _touch(self, key: Key) -> _Known | None:
        tenant, ref = key
        refs = self._tenants.get(tenant)
        known = refs.versions.get(ref) if refs else None
        if refs is not None and known is not None:
            refs.versions.move_to_end(ref)
        return known

    def _put(self, key: Key, known: _Known) -> None:
        tenant, ref = key
        refs = self._tenants.setdefault(tenant, _Refs())
        self._num_entries += ref not in refs.versions
        refs.versions[ref] = known
        refs.by_task.setdefault(known.task, set()).add(ref)
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
