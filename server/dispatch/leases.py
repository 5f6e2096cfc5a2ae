"""Leases on the weights of a version, of a composition, or of the bare base. Knows no queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters_registry.values import Version
from engine.port import EnginePort
from server.dispatch.compositions import Compositions
from server.dispatch.entry import Lease
from server.dispatch.residency import Residency, wait_until_alive


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLease:
    """The lease of rows for the bare base, which is always in slot 0 of the engine."""

    generation: int
    digest: str = ""
    num_bytes: int = 0

    def duplicate(self) -> BaseLease:
        return self

    def release(self) -> None:
        """Does nothing: the base is never evicted."""


class Leases:
    """Leases the weights that a call needs, and loads them first if necessary."""

    def __init__(
        self, *, port: EnginePort, residency: Residency, compositions: Compositions
    ) -> None:
        self._port = port
        self._residency = residency
        self._compositions = compositions

    async def acquire(
        self, version: Version | None, parts: Sequence[tuple[Version, float]] = ()
    ) -> Lease:
        """A lease on the version, or on the bare base if it is None. `parts` are versions whose
        weighted adapters replace the version's own under its head.
        """
        if version is None:
            await wait_until_alive(self._port)
            return BaseLease(generation=self._port.generation)
        if parts:
            return await self._compositions.acquire(version, parts)
        return await self._residency.acquire(version)
