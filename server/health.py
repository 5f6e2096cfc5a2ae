"""Whether this server lives, and whether it should be sent calls.

One state, shown by both transports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum


class State(StrEnum):
    """The one way a server goes."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Health:
    """Told by the composition root, read by the transports."""

    def __init__(self) -> None:
        self._state = State.STARTING
        #: told of every change; gRPC's own health service
        self.on_change: list[Callable[[State], Awaitable[None]]] = []

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_draining(self) -> bool:
        return self._state is State.DRAINING

    async def turn(self, state: State) -> None:
        self._state = state
        for tell in self.on_change:
            await tell(state)
