"""Compositions: several adapters under one digest of their own, made anew in the engine when asked.

A composition has no files and no bytes: it holds leases on what it is made of, and nothing else.
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

#: how many compositions the engine may keep, of all tenants and of one, beside those in use
_KEPT, _KEPT_OF_ONE = 64, 16
#: how many different ones of one tenant may be in use at once: each may take a slot
_IN_USE_OF_ONE = 32


class CompositionLease:
    """A promise that a composition and all its adapters stay loaded until `release`."""

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
        """Give it back; a second release does nothing."""
        leases, self._leases = self._leases, []
        for lease in leases:
            lease.release()
        if leases:
            self._counts[self.digest] -= 1
            if not self._counts[self.digest]:
                del self._counts[self.digest]


class Compositions:
    """Composes in the engine what the residency has loaded."""

    def __init__(
        self, *, port: EnginePort, residency: Residency, forget: Callable[[str], object]
    ) -> None:
        self._port = port
        self._residency = residency
        #: told of every composition that left, so that slots can forget it
        self._forget = forget
        self._leases: Counter[str] = Counter()
        #: whose each is, the least recently used first
        self._owners: OrderedDict[str, str] = OrderedDict()

    async def acquire(
        self, first: Version, parts: Sequence[tuple[Version, float]]
    ) -> CompositionLease:
        """A lease on the weighted sum of `parts` under the head of `first`. Raises Overloaded
        where its tenant has too many others in use.
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
        # leased before it is made: another composition must not push it out in between
        joint = CompositionLease(digest, 0, [lease.duplicate() for lease in leases], self._leases)
        try:
            joint.num_bytes = await self._compose(digest, first, weights)
        except BaseException:
            joint.release()
            raise
        return joint

    async def _compose(self, digest: str, first: Version, weights: Mapping[str, float]) -> int:
        # known from the step on: a caller who hangs up meanwhile does not stop it being made
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
        if digest not in others and len(others) >= _IN_USE_OF_ONE:
            raise Overloaded(
                f"{len(others)} different compositions of yours are in use at once, which is as "
                "many as may be; ask for this one when their calls are answered."
            )

    def _drop_oldest(self, tenant: str) -> None:
        """Of the tenant that asks beyond its share, then of whoever has most beyond all."""
        num = sum(owner == tenant for owner in self._owners.values())
        for digest in self._idle(tenant)[: max(0, num - _KEPT_OF_ONE)]:
            self._drop(digest)
        idle = Counter(owner for d, owner in self._owners.items() if not self._leases[d])
        while len(self._owners) > _KEPT and idle.total():
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
    """The same for the same head, adapters and weights."""
    content = json.dumps([first, sorted(weights.items())]).encode()
    return hashlib.sha256(content).hexdigest()
