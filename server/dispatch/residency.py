"""Loads adapters into the engine's host memory: one load per digest, leases, a budget of bytes,
and known failures. Knows versions and the engine's port, but no queue and no transport.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.values import Version
from engine.errors import BadAdapter, EngineError, EngineGone, OutOfMemory, WrongBase
from engine.port import EngineInfo, EnginePort, File, Load, Loaded, Unload
from server.observers import LoadObserver

#: a new digest cannot be evicted for this long, so that the caller who needs it can lease it
_FRESH_S = 1.0
_MAX_FAILURES = 10_000
#: longer than loading a base takes; a call's deadline may end the wait earlier
_RESTART_S = 30.0
_POLL_S = 0.05


class _Resident:
    __slots__ = ("digest", "fresh_until", "leases", "num_bytes")

    def __init__(self, digest: str, num_bytes: int, fresh_until: float) -> None:
        self.digest = digest
        self.num_bytes = num_bytes
        self.fresh_until = fresh_until
        self.leases = 0


class ResidentLease:
    """Keeps the digest loaded until `release`, in one generation of the engine."""

    __slots__ = ("_residency", "_resident", "digest", "generation", "num_bytes")

    def __init__(self, residency: Residency, resident: _Resident, generation: int) -> None:
        resident.leases += 1
        self._residency = residency
        self._resident: _Resident | None = resident
        self.digest = resident.digest
        self.num_bytes = resident.num_bytes
        self.generation = generation

    def duplicate(self) -> ResidentLease:
        """A second lease on the same weights."""
        if self._resident is None:
            raise ValueError("the lease was already released")
        return ResidentLease(self._residency, self._resident, self.generation)

    def release(self) -> None:
        """Ends the lease; a second release does nothing."""
        resident, self._resident = self._resident, None
        if resident is not None:
            resident.leases -= 1
            self._residency.enforce_budget()


class Residency:
    """Loads digests when first needed and unloads the least recently used beyond `host_bytes`."""

    def __init__(
        self,
        *,
        port: EnginePort,
        files: Callable[[Version], Sequence[tuple[str, Path, str]]],
        host_bytes: int,
        observer: LoadObserver,
        retry_after_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._files = files
        self._host_bytes = host_bytes
        self._observer = observer
        self._retry_after_s = retry_after_s
        self._clock = clock
        self._generation = port.generation
        #: least recently used first
        self._residents: OrderedDict[str, _Resident] = OrderedDict()
        self._num_bytes = 0
        self._loading: dict[str, asyncio.Task[_Resident]] = {}
        self._failures: dict[str, tuple[float, Exception]] = {}
        #: called with every digest that is unloaded, so that slots can forget it
        self.on_unload: Callable[[str], object] = _ignore

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    @property
    def num_resident(self) -> int:
        return len(self._residents)

    @property
    def num_leases(self) -> int:
        return sum(resident.leases for resident in self._residents.values())

    def lease(self, digest: str) -> ResidentLease | None:
        """A lease if the digest is resident now."""
        self._follow_engine()
        resident = self._residents.get(digest)
        if resident is None:
            return None
        self._residents.move_to_end(digest)
        return ResidentLease(self, resident, self._generation)

    async def acquire(self, version: Version) -> ResidentLease:
        """A lease on the version, which is loaded if necessary.

        A caller who disconnects does not cancel a load that others await.
        """
        while (lease := self.lease(version.digest)) is None:
            self._raise_known_failure(version.digest)
            await wait_until_alive(self._port)
            await asyncio.shield(self._load_once(version))
        return lease

    def discard(self, digest: str) -> None:
        """Unloads a digest that is no longer published; a leased one is unloaded later."""
        self._failures.pop(digest, None)
        resident = self._residents.get(digest)
        if resident is not None and not resident.leases:
            self.forget(resident.digest)

    def forget(self, digest: str) -> None:
        """Unloads the digest even if it is leased; the next call loads it again.

        Used if the engine reports that it is not loaded.
        """
        resident = self._residents.pop(digest, None)
        if resident is not None:
            self._num_bytes -= resident.num_bytes
            self.on_unload(digest)
            self._port.submit(Unload(digest=digest))

    def refuse(self, digest: str, error: BadAdapter | BlobMissing | BlobCorrupt) -> None:
        """Remembers a permanent failure: for a while, calls get the error without a new load."""
        if len(self._failures) >= _MAX_FAILURES:
            self._failures.clear()
        self._failures[digest] = (self._clock() + self._retry_after_s, error)

    def enforce_budget(self) -> None:
        if self._num_bytes > self._host_bytes:
            self.make_room(0)

    def _follow_engine(self) -> None:
        if self._port.generation != self._generation:
            self._generation = self._port.generation
            self._residents.clear()
            self._num_bytes = 0

    def _raise_known_failure(self, digest: str) -> None:
        until, error = self._failures.get(digest, (0.0, None))
        if error is not None and until > self._clock():
            raise error.with_traceback(None)

    def _load_once(self, version: Version) -> asyncio.Task[_Resident]:
        task = self._loading.get(version.digest)
        if task is None:
            task = asyncio.create_task(self._load(version))
            self._loading[version.digest] = task
            task.add_done_callback(lambda done: self._on_load_end(version.digest, done))
        return task

    def _on_load_end(self, digest: str, task: asyncio.Task[_Resident]) -> None:
        self._loading.pop(digest, None)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._observer.observe_load_failure()
        if isinstance(error, BadAdapter | BlobMissing | BlobCorrupt):
            self.refuse(digest, error)

    async def _load(self, version: Version) -> _Resident:
        _check_base(version, self._port.info)
        started = self._clock()
        files = await asyncio.to_thread(self._files, version)
        semantics = dict(version.manifest.semantics)
        listed = [File(role=role, path=str(path), sha256=sha256) for role, path, sha256 in files]
        step = Load(digest=version.digest, semantics=semantics, files=listed)
        self._follow_engine()
        generation = self._generation
        self.make_room(version.num_bytes)
        loaded = await self._submit(step)
        self._follow_engine()
        if generation != self._generation:
            raise EngineGone
        self._observer.observe_load(self._clock() - started)
        return self._admit(version.digest, loaded.num_bytes)

    async def _submit(self, step: Load) -> Loaded:
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except OutOfMemory:
            # sizes on disk only approximate sizes in memory: unload all idle digests and retry once
            self.make_room(self._host_bytes)
            result = await asyncio.wrap_future(self._port.submit(step))
        if not isinstance(result, Loaded):
            raise EngineError(f"the engine answered a Load with {type(result).__name__}")
        return result

    def _admit(self, digest: str, num_bytes: int) -> _Resident:
        resident = _Resident(digest, num_bytes, self._clock() + _FRESH_S)
        self._residents[digest] = resident
        self._num_bytes += num_bytes
        self.make_room(0)
        return resident

    def make_room(self, num_bytes: int) -> None:
        """Unloads idle digests until `num_bytes` more fit into the budget."""
        excess = self._num_bytes + num_bytes - self._host_bytes
        now = self._clock()
        for resident in list(self._residents.values()) if excess > 0 else ():
            if excess <= 0:
                return
            if not resident.leases and resident.fresh_until <= now:
                self.forget(resident.digest)
                excess -= resident.num_bytes


async def wait_until_alive(port: EnginePort, within_s: float = _RESTART_S) -> None:
    """Returns at once if the engine is alive; otherwise waits for its restart.

    Raises EngineGone if that takes too long.
    """
    try:
        async with asyncio.timeout(within_s):
            while not port.is_alive:  # noqa: ASYNC110 it changes in another thread
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise EngineGone from None


def _check_base(version: Version, info: EngineInfo) -> None:
    base = version.manifest.base
    if base["fingerprint"] != info.fingerprint:
        raise WrongBase(
            # without task and number: other tenants with the same digest get the same message
            f"the version was made for the base {base.get('name') or 'without a name'} "
            f"({base['fingerprint'][:12]}); this server runs {info.base} "
            f"({info.fingerprint[:12]}). Serve that base, or train the task on this one"
        )


def _ignore(digest: str) -> None:
    del digest
