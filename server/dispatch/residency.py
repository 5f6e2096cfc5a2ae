"""Loads adapters into the engine's host memory: one load per digest, leases, a budget of bytes,
and known failures. Knows versions and the engine's port, but no queue and no transport.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from adapters_registry.errors import BlobCorrupt, BlobMissing, StorageUnavailable
from adapters_registry.values import Version
from engine.errors import BadAdapter, EngineError, EngineGone, OutOfMemory, WrongBase, WrongContent
from engine.port import EngineInfo, EnginePort, File, Load, Loaded, Unload
from server.dispatch.known_failures import KnownFailures
from server.dispatch.load_turns import LoadTurns
from server.dispatch.pinned_bytes import PinnedBytes
from server.dispatch.resident import Resident
from server.observers import LoadObserver

_RESTART_S = 30.0  # longer than loading a base takes; a call's deadline may end the wait earlier
_POLL_S = 0.05
_OUTAGE_S = 2.0  # how long calls do not ask a store again that could not be reached


class ResidentLease:
    """Keeps the digest loaded until `release`, in one generation of the engine."""

    __slots__ = ("_residency", "_resident", "digest", "generation", "num_bytes")

    def __init__(self, residency: Residency, resident: Resident, generation: int) -> None:
        self._residency = residency
        self._resident: Resident | None = resident
        self.digest = resident.digest
        self.num_bytes = resident.num_bytes
        self.generation = generation
        residency.pin(resident)

    def duplicate(self) -> ResidentLease:
        """A second lease on the same weights."""
        if self._resident is None:
            raise ValueError("the lease was already released")
        return ResidentLease(self._residency, self._resident, self.generation)

    def release(self) -> None:
        """Ends the lease; a second release does nothing."""
        resident, self._resident = self._resident, None
        if resident is not None:
            self._residency.unpin(resident)


class Residency:
    """Loads digests when first needed and unloads the least recently used beyond `host_bytes`. Each
    operation takes the same time however many are loaded.
    """

    def __init__(
        self,
        *,
        port: EnginePort,
        files: Callable[[Version], Sequence[tuple[str, Path, str]]],
        host_bytes: int,
        observer: LoadObserver,
        examine: Callable[[Version], bool] = lambda _: False,
        retry_after_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._files = files
        self._examine = examine  # whether files that had a wrong content can be read now
        self._host_bytes = host_bytes
        self._observer = observer
        self._clock = clock
        self._generation = port.generation
        self._residents: dict[str, Resident] = {}
        #: those that are loaded and not leased, least recently used first
        self._idle: OrderedDict[str, Resident] = OrderedDict()
        self._num_bytes = 0
        self._pinned = PinnedBytes(host_bytes)
        self._turns = LoadTurns()
        self._failures = KnownFailures(retry_after_s, clock)
        #: called with every digest that is unloaded, so that slots can forget it
        self.on_unload: Callable[[str], object] = lambda _: None

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    @property
    def num_resident(self) -> int:
        return len(self._residents)

    @property
    def digests(self) -> list[str]:
        return list(self._residents)

    @property
    def num_leases(self) -> int:
        return sum(each.leases for each in self._residents.values())

    def lease(self, version: Version) -> ResidentLease | None:
        """A lease if it is loaded now. Raises OutOfMemory or Overloaded if calls use too much."""
        self._follow_engine()
        resident = self._residents.get(version.digest)
        if resident is None or not resident.is_loaded:
            return None
        return self._lease(version, resident)

    async def acquire(self, version: Version) -> ResidentLease:
        """A lease on the version, which is loaded if necessary.

        A caller who disconnects does not cancel a load that others await. Raises as `lease` does,
        before anything is loaded or unloaded.
        """
        if (lease := self.lease(version)) is not None:
            return lease
        self._failures.raise_known(version.digest)
        await wait_until_alive(self._port)
        self._follow_engine()
        resident = self._residents.get(version.digest) or Resident(version)
        # leased before it is loaded, so that nothing evicts it in between
        lease = self._lease(version, resident)
        if not self._holds(resident):
            self._begin_load(version, resident)
        try:
            await asyncio.shield(resident.load)
        except BaseException:
            lease.release()
            raise
        lease.num_bytes = resident.num_bytes  # which is known now
        return lease

    def pin(self, resident: Resident) -> None:
        if not resident.leases:
            self._pinned.add(resident.tenant, resident.pinned_bytes)
        resident.leases += 1
        # the digest may have been loaded anew since this one was leased
        if self._idle.get(resident.digest) is resident:
            del self._idle[resident.digest]

    def unpin(self, resident: Resident) -> None:
        resident.leases -= 1
        if not resident.leases:
            self._pinned.add(resident.tenant, -resident.pinned_bytes)
        self._rest(resident)
        self.make_room(0)

    def discard(self, digest: str) -> None:
        """Unloads a digest that is no longer published, as soon as nobody needs it."""
        self._failures.forget(digest)
        if digest in self._idle:
            self.forget(digest)
        elif (resident := self._residents.get(digest)) is not None:
            resident.is_unwanted = True

    def forget(self, digest: str) -> None:
        """Unloads the digest even if it is leased; the next call loads it again.

        Used if the engine reports that it is not loaded.
        """
        resident = self._residents.pop(digest, None)
        if resident is not None:
            self._idle.pop(digest, None)
            self._num_bytes -= resident.host_bytes
            self.on_unload(digest)
            self._port.submit(Unload(digest=digest))

    def refuse(self, digest: str, error: BadAdapter | BlobMissing | BlobCorrupt) -> None:
        """Remembers a permanent failure: for a while, calls get the error without a new load."""
        self._failures.add(digest, error)

    def make_room(self, num_bytes: int) -> None:
        """Unloads idle digests until `num_bytes` more fit into the budget."""
        self._unload(self._num_bytes + num_bytes - self._host_bytes)

    def _unload(self, num_bytes: int) -> bool:
        """Unloads idle digests of so many bytes together, or all. Whether there were any."""
        idle, least = bool(self._idle), self._num_bytes - num_bytes
        while self._idle and self._num_bytes > least:
            self.forget(next(iter(self._idle)))
        return idle

    def _lease(self, version: Version, resident: Resident) -> ResidentLease:
        if not resident.leases:
            self._pinned.check(version.tenant, resident.pinned_bytes)
            resident.tenant = version.tenant
        return ResidentLease(self, resident, self._generation)

    def _rest(self, resident: Resident) -> None:
        """From now on it may be unloaded, if nobody needs it."""
        if resident.is_loaded and not resident.leases and self._holds(resident):
            self._idle[resident.digest] = resident
            if resident.is_unwanted:
                self.forget(resident.digest)

    def _holds(self, resident: Resident) -> bool:
        """Whether it was neither forgotten nor lost with its engine."""
        return self._residents.get(resident.digest) is resident

    def _follow_engine(self) -> None:
        if self._port.generation != self._generation:
            self._generation = self._port.generation
            self._residents.clear()
            self._idle.clear()
            self._num_bytes = 0

    def _begin_load(self, version: Version, resident: Resident) -> None:
        self._residents[version.digest] = resident
        resident.load = asyncio.create_task(self._load(version, resident))
        resident.load.add_done_callback(lambda done: self._on_load_end(resident, done))

    def _on_load_end(self, resident: Resident, load: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if load.cancelled() else load.exception()
        if error is None:
            return
        if self._holds(resident):
            del self._residents[resident.digest]
            self._num_bytes -= resident.host_bytes
        self._observer.observe_load_failure()
        if isinstance(error, BadAdapter | BlobMissing | BlobCorrupt):
            self.refuse(resident.digest, error)
        elif isinstance(error, StorageUnavailable):
            self._failures.add(resident.digest, error, _OUTAGE_S)

    async def _load(self, version: Version, resident: Resident) -> None:
        _check_base(version, self._port.info)
        async with self._turns.turn(version.tenant):
            try:
                await self._load_files(version, resident)
            except (WrongContent, BlobMissing, BlobCorrupt):
                if not await asyncio.to_thread(self._examine, version):
                    raise
                await self._load_files(version, resident)

    async def _load_files(self, version: Version, resident: Resident) -> None:
        started = self._clock()
        files = await asyncio.to_thread(self._files, version)
        semantics = dict(version.manifest.semantics)
        listed = [File(role=role, path=str(path), sha256=sha256) for role, path, sha256 in files]
        step = Load(digest=version.digest, semantics=semantics, files=listed)
        self._follow_engine()
        if not self._holds(resident):
            raise EngineGone  # which waited for it; in the next one nobody would know of it
        generation = self._generation
        self._resize(resident, version.num_bytes)
        loaded = await self._submit(step, version.num_bytes)
        self._follow_engine()
        if generation != self._generation:
            raise EngineGone
        self._observer.observe_load(self._clock() - started)
        resident.num_bytes, resident.is_loaded = loaded.num_bytes, True
        if resident.leases:
            self._pinned.add(resident.tenant, loaded.host_bytes - resident.pinned_bytes)
        resident.pinned_bytes = loaded.host_bytes
        self._rest(resident)
        self._resize(resident, loaded.host_bytes)

    def _resize(self, resident: Resident, host_bytes: int) -> None:
        if self._holds(resident):
            self._num_bytes += host_bytes - resident.host_bytes
            resident.host_bytes = host_bytes
            self.make_room(0)

    async def _submit(self, step: Load, num_bytes: int) -> Loaded:
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except OutOfMemory:
            # the size on disk only approximates that in memory, which may be twice as large
            if not self._unload(2 * num_bytes):
                raise
            result = await asyncio.wrap_future(self._port.submit(step))
        if not isinstance(result, Loaded):
            raise EngineError(f"the engine answered a Load with {type(result).__name__}")
        return result


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
