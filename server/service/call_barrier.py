"""Lets several calls enter the queue together, so that one step of the engine can answer them all.

Knows no task and no weights.
"""

from __future__ import annotations

import asyncio


class CallBarrier:
    """A barrier for `num_calls` calls. A call that is late delays the others for `patience_s` at
    most.
    """

    def __init__(self, num_calls: int, patience_s: float) -> None:
        self._missing = num_calls
        self._patience_s = patience_s
        self._start = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def arrive(self) -> None:
        """Returns when every call has arrived or left, or after `patience_s`.

        All waiting calls continue in the same iteration of the event loop.
        """
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._patience_s, self._start.set)
        self._count()
        await self._start.wait()

    def leave(self) -> None:
        """For a call that queues nothing or has ended."""
        self._count()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _count(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._start.set()
