"""Who may load an adapter next: few at a time, and tenants in turns. Knows no adapter."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: enough that one load reads its files while the engine computes another's weights
_AT_ONCE = 4


class LoadTurns:
    """A tenant waits for the loads in progress and for one load of each tenant before it, however
    many loads these wait for.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._num_free = at_once
        #: the tenant whose turn is next comes first
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Waits for the tenant's turn, which lasts as long as the context."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        self._give_turns()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():
                self._num_free += 1
            self._give_turns()

    def _give_turns(self) -> None:
        while self._num_free and self._waiting:
            tenant, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[tenant] = turns
            if not turn.cancelled():
                turn.set_result(None)
                self._num_free -= 1
