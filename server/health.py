"""Whether this server lives, and whether it should be sent calls.

One state, shown by both transports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum


class State(StrEnum):
    """The one way a server goes, but for an engine that dies and comes back."""

    STARTING = "starting"
    READY = "ready"
    REVIVING = "reviving"
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

    async def see_engine(self, *, is_alive: bool) -> None:
        """A server without its engine is not ready; whether it starts or drains comes first."""
        state = State.READY if is_alive else State.REVIVING
        if self._state is not state and self._state in (State.READY, State.REVIVING):
            await self.turn(state)
