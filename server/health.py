"""The health of this server: one state, which both transports report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum


class State(StrEnum):
    """Reviving while the engine is restarted, stalled while it is alive but does not compute."""

    STARTING = "starting"
    READY = "ready"
    REVIVING = "reviving"
    STALLED = "stalled"
    DRAINING = "draining"


class Health:
    """Set by the composition root, read by the transports."""

    def __init__(self) -> None:
        self._state = State.STARTING
        self._reason: str | None = None
        self._trainer: str | None = None
        #: called on every change; gRPC's health service and job streams need it
        self.on_change: list[Callable[[State], Awaitable[None]]] = []

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_draining(self) -> bool:
        return self._state is State.DRAINING

    @property
    def reason(self) -> str | None:
        """Why the server is not ready, if the state alone does not say it."""
        return self._reason

    @property
    def trainer(self) -> str | None:
        """Why no job can run here now. The server stays ready, because other calls are not
        affected: a full disk must not end predictions.
        """
        return self._trainer

    async def turn(self, state: State, reason: str | None = None) -> None:
        self._state, self._reason = state, reason
        await self._notify()

    async def _notify(self) -> None:
        for notify in self.on_change:
            await notify(self._state)

    async def see_engine(self, *, is_alive: bool, problem: str | None = None) -> None:
        """Updates the state from the engine's; a server that starts or drains keeps its state."""
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
            await self._notify()
