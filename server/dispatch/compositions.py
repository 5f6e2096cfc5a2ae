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
from server.dispatch.residency import Lease, Residency
from server.errors import Stale

#: how many compositions nobody uses right now the engine may keep
_KEPT = 64


class JointLease:
    """A promise that a composition and all its adapters stay loaded until `release`."""

    __slots__ = ("_counts", "_leases", "digest", "generation", "num_bytes")

    def __init__(
        self,
        digest: str,
        num_bytes: int,
        leases: Sequence[Lease],
        counts: Counter[str],
    ) -> None:
        self.digest = digest
        self.num_bytes = num_bytes
        self.generation = leases[0].generation
        self._leases = list(leases)
        self._counts = counts
        counts[digest] += 1

    def again(self) -> JointLease:
        leases = [lease.again() for lease in self._leases]
        return JointLease(self.digest, self.num_bytes, leases, self._counts)

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
        #: least recently used first
        self._known: OrderedDict[str, None] = OrderedDict()

    async def acquire(self, first: Version, parts: Sequence[tuple[Version, float]]) -> JointLease:
        """A lease on the weighted sum of `parts` under the head of `first`."""
        versions = {version.digest: version for version in (first, *(v for v, _ in parts))}
        leases: list[Lease] = []
        try:
            for version in versions.values():
                leases.append(await self._residency.acquire(version))
            if len({lease.generation for lease in leases}) > 1:
                raise Stale
            weights: dict[str, float] = {}
            for version, weight in parts:
                weights[version.digest] = weights.get(version.digest, 0.0) + weight
            digest = composed_digest(first.digest, weights)
            return await self._leased(digest, first.digest, weights, leases)
        finally:
            for lease in leases:
                lease.release()

    async def _leased(
        self, digest: str, first: str, weights: Mapping[str, float], leases: Sequence[Lease]
    ) -> JointLease:
        # leased before it is made: another composition must not push it out in between
        joint = JointLease(digest, 0, [lease.again() for lease in leases], self._leases)
        try:
            joint.num_bytes = await self._compose(digest, first, weights)
        except BaseException:
            joint.release()
            raise
        return joint

    async def _compose(self, digest: str, first: str, weights: Mapping[str, float]) -> int:
        # known from the step on: a caller who hangs up meanwhile does not stop it being made
        self._known[digest] = None
        self._known.move_to_end(digest)
        self._drop_oldest()
        step = Compose(digest=digest, first=first, parts=dict(weights))
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except NotLoaded:
            for part in (first, *weights):
                self._residency.forget(part)
            raise Stale from None
        if not isinstance(result, Loaded):
            raise EngineError(f"the engine answered a Compose with {type(result).__name__}")
        return result.num_bytes

    def _drop_oldest(self) -> None:
        idle = [digest for digest in self._known if not self._leases[digest]]
        for digest in idle[: max(0, len(self._known) - _KEPT)]:
            del self._known[digest]
            self._forget(digest)
            self._port.submit(Unload(digest=digest))


def composed_digest(first: str, weights: Mapping[str, float]) -> str:
    """The same for the same head, adapters and weights."""
    content = json.dumps([first, sorted(weights.items())]).encode()
    return hashlib.sha256(content).hexdigest()
