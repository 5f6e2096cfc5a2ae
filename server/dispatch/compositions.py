"""Compositions: weighted sums of adapters with their own digest, computed by the engine on demand.

A composition has no files; it holds leases on its adapters.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence

from adapters_registry.values import Version
from engine.errors import EngineError, NotLoaded
from engine.port import Compose, EnginePort, Loaded, Unload
from server.dispatch.residency import Residency, ResidentLease
from server.errors import Overloaded, Stale

#: how many idle compositions the engine may keep, of all tenants and of one tenant
_MAX_IDLE, _MAX_IDLE_OF_TENANT = 64, 16
#: how many compositions of one tenant may be in use at once; each may take a slot
_MAX_USED_BY_TENANT = 32


class CompositionLease:
    """Keeps a composition and all its adapters loaded until `release`."""

    __slots__ = ("_counts", "_leases", "digest", "generation", "num_bytes")

    def __init__(
        self,
        digest: str,
        num_bytes: int,
        leases: Sequence[ResidentLease],
        counts: Counter[str],
    ) -> None:
        self.digest = digest
        self.num_bytes = num_bytes
        self.generation = leases[0].generation
        self._leases = list(leases)
        self._counts = counts
        counts[digest] += 1

    def duplicate(self) -> CompositionLease:
        leases = [lease.duplicate() for lease in self._leases]
        return CompositionLease(self.digest, self.num_bytes, leases, self._counts)

    def release(self) -> None:
        """Ends the lease; a second release does nothing."""
        leases, self._leases = self._leases, []
        for lease in leases:
            lease.release()
        if leases:
            self._counts[self.digest] -= 1
            if not self._counts[self.digest]:
                del self._counts[self.digest]


class Compositions:
    """Composes adapters that the residency has loaded."""

    def __init__(
        self, *, port: EnginePort, residency: Residency, forget: Callable[[str], object]
    ) -> None:
        self._port = port
        self._residency = residency
        #: called with every composition that is dropped, so that slots can forget it
        self._forget = forget
        self._leases: Counter[str] = Counter()
        #: the tenant of each composition, least recently used first
        self._owners: OrderedDict[str, str] = OrderedDict()

    async def acquire(
        self, first: Version, parts: Sequence[tuple[Version, float]]
    ) -> CompositionLease:
        """A lease on the weighted sum of `parts` with the head of `first`. Raises Overloaded if the
        tenant has too many others in use.
        """
        versions = {version.digest: version for version in (first, *(v for v, _ in parts))}
        leases: list[ResidentLease] = []
        try:
            for version in versions.values():
                leases.append(await self._residency.acquire(version))
            if len({lease.generation for lease in leases}) > 1:
                raise Stale
            weights: dict[str, float] = {}
            for version, weight in parts:
                weights[version.digest] = weights.get(version.digest, 0.0) + weight
            digest = composed_digest(first.digest, weights)
            self._check_use(first.tenant, digest)
            return await self._lease(digest, first, weights, leases)
        finally:
            for lease in leases:
                lease.release()

    async def _lease(
        self,
        digest: str,
        first: Version,
        weights: Mapping[str, float],
        leases: Sequence[ResidentLease],
    ) -> CompositionLease:
        # leased before it is composed, so that no other composition evicts it in between
        composition = CompositionLease(
            digest, 0, [lease.duplicate() for lease in leases], self._leases
        )
        try:
            composition.num_bytes = await self._compose(digest, first, weights)
        except BaseException:
            composition.release()
            raise
        return composition

    async def _compose(self, digest: str, first: Version, weights: Mapping[str, float]) -> int:
        # recorded before the step: it is composed even if the caller disconnects
        self._owners[digest] = first.tenant
        self._owners.move_to_end(digest)
        self._drop_oldest(first.tenant)
        step = Compose(digest=digest, first=first.digest, parts=dict(weights))
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except NotLoaded:
            for part in (first.digest, *weights):
                self._residency.forget(part)
            raise Stale from None
        if not isinstance(result, Loaded):
            raise EngineError(f"the engine answered a Compose with {type(result).__name__}")
        return result.num_bytes

    def _check_use(self, tenant: str, digest: str) -> None:
        others = [d for d, owner in self._owners.items() if owner == tenant and self._leases[d]]
        if digest not in others and len(others) >= _MAX_USED_BY_TENANT:
            raise Overloaded(
                f"{len(others)} of your compositions are in use, the most that a tenant may use; "
                "try again when their calls are answered."
            )

    def _drop_oldest(self, tenant: str) -> None:
        """Drops idle compositions of the tenant beyond its limit, then of the tenants with most."""
        num = sum(owner == tenant for owner in self._owners.values())
        for digest in self._idle(tenant)[: max(0, num - _MAX_IDLE_OF_TENANT)]:
            self._drop(digest)
        idle = Counter(owner for d, owner in self._owners.items() if not self._leases[d])
        while len(self._owners) > _MAX_IDLE and idle.total():
            [(most, _)] = idle.most_common(1)
            self._drop(self._idle(most)[0])
            idle[most] -= 1

    def _idle(self, tenant: str) -> list[str]:
        return [d for d, owner in self._owners.items() if owner == tenant and not self._leases[d]]

    def _drop(self, digest: str) -> None:
        del self._owners[digest]
        self._forget(digest)
        self._port.submit(Unload(digest=digest))


def composed_digest(first: str, weights: Mapping[str, float]) -> str:
    """The digest of a composition: the same for the same head, adapters and weights."""
    content = json.dumps([first, sorted(weights.items())]).encode()
    return hashlib.sha256(content).hexdigest()
