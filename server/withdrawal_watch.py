"""Frees what this server holds of versions and tasks that were deleted, also by another server or
by a command: weights in memory and in slots, and metric series.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from adapters_registry.errors import StorageError
from adapters_registry.withdrawals import Withdrawals
from server.dispatch.residency import Residency
from server.errors import Overloaded
from server.metrics.metrics import Metrics
from server.pools.pools import OPERATOR
from server.pools.work_pool import WorkPool

_log = logging.getLogger(__name__)
#: what was deleted elsewhere is freed within this time and a look
EVERY_S = 2.0


class WithdrawalWatch:
    """`run` on the event loop, for as long as the server serves."""

    def __init__(
        self, withdrawals: Withdrawals, residency: Residency, metrics: Metrics, lookups: WorkPool
    ) -> None:
        self._withdrawals = withdrawals
        self._residency, self._metrics = residency, metrics
        self._lookups = lookups

    async def run(self, every_s: float = EVERY_S) -> None:
        while True:
            with suppress(StorageError, Overloaded):  # the next look may succeed
                await self._look()
            await asyncio.sleep(every_s)

    async def _look(self) -> None:
        withdrawn = await self._lookups.run(
            OPERATOR,
            self._withdrawals.look,
            lambda: self._residency.digests,
            lambda: self._metrics.tasks.tasks,
        )
        for digest in withdrawn.digests:
            self._residency.discard(digest)
        for tenant, task in withdrawn.tasks:
            self._metrics.forget_task(tenant, task)
        if withdrawn.digests:
            extra = {"action": "weights.withdrawn", "digests": len(withdrawn.digests)}
            _log.info("freed the weights of versions that were deleted elsewhere", extra=extra)
