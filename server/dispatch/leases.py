"""Leases on whatever answers: a version, a sum of versions, or the bare base."""

from __future__ import annotations

from collections.abc import Sequence

from adapters_registry.values import Version
from engine.port import EnginePort
from server.dispatch.bare_lease import BareLease
from server.dispatch.compositions import Compositions, JointLease
from server.dispatch.engine_wait import wait_until_alive
from server.dispatch.residency import Lease, Residency

AnyLease = Lease | JointLease | BareLease


class Leases:
    """The one way from a version to weights that stay."""

    def __init__(
        self, *, port: EnginePort, residency: Residency, compositions: Compositions
    ) -> None:
        self._port = port
        self._residency = residency
        self._compositions = compositions

    async def of(
        self, version: Version | None, parts: Sequence[tuple[Version, float]] = ()
    ) -> AnyLease:
        """On the bare base where there is no version. `parts` act in place of the version's own
        adapter, weighted, under its head.
        """
        if version is None:
            await wait_until_alive(self._port)
            return BareLease(generation=self._port.generation)
        if parts:
            return await self._compositions.acquire(version, parts)
        return self._residency.lease(version.digest) or await self._residency.acquire(version)
