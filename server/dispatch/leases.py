"""Leases on whatever answers: a version, a composition of versions, or the bare base."""

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
    """The lease of rows that the bare base answers: slot 0 is always there, on the engine of its
    generation.
    """

    generation: int
    digest: str = ""
    num_bytes: int = 0

    def duplicate(self) -> BaseLease:
        return self

    def release(self) -> None:
        """There is nothing to give back."""


class Leases:
    """The one way from a version to weights that stay loaded."""

    def __init__(
        self, *, port: EnginePort, residency: Residency, compositions: Compositions
    ) -> None:
        self._port = port
        self._residency = residency
        self._compositions = compositions

    async def acquire(
        self, version: Version | None, parts: Sequence[tuple[Version, float]] = ()
    ) -> Lease:
        """On the bare base where there is no version. `parts` act in place of the version's own
        adapter, weighted, under its head.
        """
        if version is None:
            await wait_until_alive(self._port)
            return BaseLease(generation=self._port.generation)
        if parts:
            return await self._compositions.acquire(version, parts)
        return self._residency.lease(version.digest) or await self._residency.acquire(version)
