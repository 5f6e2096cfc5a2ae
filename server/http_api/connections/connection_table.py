"""The open connections of one HTTP port: how long each may stay open, and which is closed when
there are too many.

Knows addresses and phases, but nothing of HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Protocol

from uvicorn.server import ServerState

from server.limits import ConnectionLimits


class Phase(Enum):
    """What a connection is doing. Connections are evicted in this order of phases."""

    #: the head of a request is not complete, or the rest of an answered one still arrives
    HEAD = auto()
    #: between two requests
    IDLE = auto()
    ANSWERING = auto()


class Member(Protocol):
    """A connection, as the table sees it."""

    address: str
    phase: Phase

    def expire(self) -> None:
        """Close it with an error, because the head of its request took too long."""

    def cut(self) -> None:
        """Close it without a response."""


class Observer(Protocol):
    """Receives the metrics of connections."""

    def observe_request(
        self, *, transport: str, method: str, code: str, seconds: float
    ) -> None: ...

    def observe_connection_end(self, reason: str) -> None: ...


class ConnectionTable(ServerState):
    """Connections by phase and address, in the order in which they entered the phase."""

    def __init__(self, limits: ConnectionLimits, observer: Observer) -> None:
        super().__init__()
        self.limits = limits
        self.observer = observer
        self._everyone = _Group()
        self._groups: dict[str, _Group] = {}
        #: since when a peer has read nothing of its response
        self._stalled: dict[Member, float] = {}

    def admit(self, member: Member) -> bool:
        """Whether the connection may stay.

        If the table is full, the oldest connection without a request is evicted: an attacker who
        holds connections open must not keep others out, who may even share an address with them.
        """
        group = self._groups.get(member.address) or _Group()
        for crowd, most in ((group, self.limits.per_address), (self._everyone, self.limits.total)):
            if crowd.size >= most and not self._evict(crowd):
                self.observer.observe_connection_end("refused")
                return False
        self._groups[member.address] = group
        group.put(member, Phase.HEAD)
        self._everyone.put(member, Phase.HEAD)
        return True

    def holds(self, member: Member) -> bool:
        return self._everyone.holds(member)

    def move(self, member: Member, phase: Phase) -> None:
        """A member that stays in its phase keeps its place: single bytes do not extend its time."""
        if member.phase is phase or not self._everyone.holds(member):
            return
        self._drop(member)
        member.phase = phase
        for group in (self._everyone, self._groups.setdefault(member.address, _Group())):
            group.put(member, phase)

    def remove(self, member: Member) -> None:
        self._stalled.pop(member, None)
        if self._everyone.holds(member):
            self._drop(member)

    def stall(self, member: Member, *, is_stalled: bool) -> None:
        """Records that a peer has stopped or resumed reading its response."""
        if is_stalled:
            self._stalled[member] = time.monotonic()
        else:
            self._stalled.pop(member, None)

    def evict_one(self) -> bool:
        """Close one connection that is not being answered. False if there is none."""
        return self._evict(self._everyone)

    def sweep(self) -> None:
        """Close the connections that took too long."""
        now = time.monotonic()
        limits = self.limits
        for member in list(self._everyone.older(Phase.HEAD, now - limits.head_s)):
            self._end(member, member.expire, "slow_head")
        # the server's own timer closes idle ones; the others do not read the end of their response
        for member in list(self._everyone.older(Phase.IDLE, now - limits.idle_s - limits.stall_s)):
            self._end(member, member.cut, "stalled")
        for member, since in list(self._stalled.items()):
            if since <= now - limits.stall_s:
                self._end(member, member.cut, "stalled")

    def _evict(self, crowd: _Group) -> bool:
        victim = crowd.oldest_unanswered()
        if victim is None:
            return False
        self._end(victim, victim.cut, "evicted")
        return True

    def _end(self, member: Member, end: Callable[[], None], reason: str) -> None:
        # before it closes, which takes a turn of the event loop, so that its place is free at once
        self.remove(member)
        self.observer.observe_connection_end(reason)
        end()

    def _drop(self, member: Member) -> None:
        self._everyone.drop(member)
        group = self._groups[member.address]
        group.drop(member)
        if not group.size:
            del self._groups[member.address]


class _Group:
    """Members by phase, with the time since when each has been in it."""

    def __init__(self) -> None:
        self._phases: dict[Phase, dict[Member, float]] = {phase: {} for phase in Phase}

    @property
    def size(self) -> int:
        return sum(map(len, self._phases.values()))

    def holds(self, member: Member) -> bool:
        return member in self._phases[member.phase]

    def put(self, member: Member, phase: Phase) -> None:
        self._phases[phase][member] = time.monotonic()

    def drop(self, member: Member) -> None:
        self._phases[member.phase].pop(member, None)

    def oldest_unanswered(self) -> Member | None:
        for phase in (Phase.HEAD, Phase.IDLE):
            if self._phases[phase]:
                return next(iter(self._phases[phase]))
        return None

    def older(self, phase: Phase, moment: float) -> Iterator[Member]:
        for member, since in self._phases[phase].items():
            if since > moment:
                return
            yield member
