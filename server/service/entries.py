"""Makes the queue entries of a call, with leases on its weights. Knows no engine and no head."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from adapters_registry.values import Version
from server.dispatch.entry import Entry, RowTokens
from server.dispatch.leases import Leases
from server.errors import Stale
from server.service.requests import PredictRequest
from server.service.resolved_model import ResolvedModel

T = TypeVar("T")


class EntryFactory:
    """Leases the weights of a call and makes its entries, for predictions and for generation."""

    def __init__(self, leases: Leases, clock: Callable[[], float] = time.monotonic) -> None:
        self._leases, self._clock = leases, clock

    async def make(
        self,
        request: PredictRequest,
        model: ResolvedModel,
        parts: Sequence[tuple[Version, float]],
        deadline: float,
        chunks: Sequence[list[RowTokens]],
    ) -> list[Entry]:
        """One entry for each chunk, with a lease of its own. `parts` are versions whose weighted
        adapters replace the model's own; without any, the model's own is used.
        """
        lease = await self._leases.acquire(model.version, parts)
        try:
            if request.barrier is not None:
                await request.barrier.arrive()
            loop = asyncio.get_running_loop()
            return [
                Entry(
                    rows=rows,
                    cost=sum(len(row.ids) for row in rows),
                    tenant=request.caller.tenant,
                    label=model.label,
                    priority=request.parameters.priority,
                    deadline=deadline,
                    enqueued_at=self._clock(),
                    lease=lease.duplicate(),
                    future=loop.create_future(),
                )
                for rows in chunks
            ]
        finally:
            lease.release()


async def retry_once_if_stale(attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of `attempt`. If the engine was restarted before it received the rows, the attempt
    is repeated once, with the weights loaded again.
    """
    try:
        return await attempt()
    except Stale:
        return await attempt()
