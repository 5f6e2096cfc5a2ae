"""What refs resolved to lately, in memory.

Bounded, shared fairly among tenants, and emptied of a tenant whenever something of it changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters_registry.values import Version

Key = tuple[str, str]  # tenant, ref


@dataclass(slots=True, kw_only=True)
class _Refs:
    """Of one tenant: right as of a generation of the whole index, at which its own number was
    `number`.
    """

    generation: int
    number: int
    versions: OrderedDict[str, Version] = field(default_factory=OrderedDict)


class ResolveCache:
    """Answers for one generation of the index, or a later one that changed nothing of the tenant.

    Staleness: none that a caller could notice. A tenant's number is read *before* the rows that are
    kept under it, and the generation before every cached answer, so an answer is never older than
    the last commit that was visible when the call began, whichever thread or process made that
    commit. After a write of anyone, each tenant asks once whether it was about it.
    """

    def __init__(self, max_entries: int = 20_000) -> None:
        self._max_entries = max_entries
        self._tenants: dict[str, _Refs] = {}
        self._num_entries = 0
        self._lock = threading.Lock()

    @property
    def num_entries(self) -> int:
        return self._num_entries

    def resolve(
        self,
        key: Key,
        generation: int,
        number_of: Callable[[str], int],
        look_up: Callable[[], Version],
    ) -> Version:
        """The version under the key. `number_of` and `look_up` ask the index: for a tenant's own
        number, and for the version.
        """
        tenant, ref = key
        with self._lock:
            refs = self._tenants.get(tenant)
            if refs is not None and refs.generation == generation:
                if (version := _touch(refs, ref)) is not None:
                    return version
                number = refs.number
            else:
                number = -1
        if number < 0:
            number = number_of(tenant)
            with self._lock:
                version = _touch(self._renew(tenant, generation, number), ref)
            if version is not None:
                return version
        version = look_up()
        self._put(tenant, ref, number, version)
        return version

    def _put(self, tenant: str, ref: str, number: int, version: Version) -> None:
        with self._lock:
            refs = self._tenants.get(tenant)
            if refs is None or refs.number != number:
                return  # something changed meanwhile: this answer may be old already
            self._num_entries += ref not in refs.versions
            refs.versions[ref] = version
            while self._num_entries > self._max_entries:
                self._drop_oldest(refs)

    def _renew(self, tenant: str, generation: int, number: int) -> _Refs:
        refs = self._tenants.get(tenant)
        if refs is None or refs.number != number:
            self._num_entries -= len(refs.versions) if refs else 0
            refs = self._tenants[tenant] = _Refs(generation=generation, number=number)
        refs.generation = generation
        return refs

    def _drop_oldest(self, refs: _Refs) -> None:
        """Of the tenant that asks, if it has more than its share, else of who has most."""
        if len(refs.versions) <= self._max_entries // len(self._tenants):
            refs = max(self._tenants.values(), key=lambda tenant_refs: len(tenant_refs.versions))
        refs.versions.popitem(last=False)
        self._num_entries -= 1


def _touch(refs: _Refs, ref: str) -> Version | None:
    version = refs.versions.get(ref)
    if version is not None:
        refs.versions.move_to_end(ref)
    return version
