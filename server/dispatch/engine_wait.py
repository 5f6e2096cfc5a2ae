"""Waiting for an engine that died and is being brought back. Knows no queue and no weights."""

from __future__ import annotations

import asyncio

from engine.errors import EngineGone
from engine.port import EnginePort

#: longer than a base takes to load; a call's own deadline may end the wait before
_REVIVAL_S = 30.0
_LOOK_S = 0.05


async def wait_until_alive(port: EnginePort, within_s: float = _REVIVAL_S) -> None:
    """Returns at once while the engine lives. Raises EngineGone if it does not come back."""
    try:
        async with asyncio.timeout(within_s):
            while not port.is_alive:  # noqa: ASYNC110 it changes in another thread
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise EngineGone from None
