"""Whether this server lives, and whether it should be sent calls.

One state, shown by both transports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum


class State(StrEnum):
    """The one way a server goes, but for an engine that dies or stands still, and comes back."""

    STARTING = "starting"
    READY = "ready"
    REVIVING = "reviving"
    STALLED = "stalled"
    DRAINING = "draining"


class Health:
    """Told by the composition root, read by the transports."""

    def __init__(self) -> None:
        self._state = State.STARTING
        self._reason: str | None = None
        self._trainer: str | None = None
        #: told of every change; gRPC's own health service
        self.on_change: list[Callable[[State], Awaitable[None]]] = []

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_draining(self) -> bool:
        return self._state is State.DRAINING

    @property
    def reason(self) -> str | None:
        """Why the server is not ready, where its state does not say so by itself."""
        return self._reason

    @property
    def trainer(self) -> str | None:
        """Why no job is run here now. Calls other than those of jobs do not suffer from it, so it
        makes no server unready: else a full disk would end its predictions.
        """
        return self._trainer

    async def turn(self, state: State, reason: str | None = None) -> None:
        self._state, self._reason = state, reason
        await self._tell()

    async def _tell(self) -> None:
        for tell in self.on_change:
            await tell(self._state)

    async def see_engine(self, *, is_alive: bool, problem: str | None = None) -> None:
        """A server whose engine is gone, or has a problem, is not ready; whether it starts or
        drains comes first.
        """
        if self._state in (State.STARTING, State.DRAINING):
            return
        state, reason = State.READY, None
        if not is_alive:
            state, reason = State.REVIVING, "the engine ended and is being started again"
        elif problem is not None:
            state, reason = State.STALLED, problem
        if self._state is not state:
            await self.turn(state, reason)
        self._reason = reason

    async def see_trainer(self, problem: str | None) -> None:
        if self._trainer != problem:
            self._trainer = problem
            await self._tell()
