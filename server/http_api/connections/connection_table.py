"""The open connections of one HTTP port: how long each may stay, and which has to go where there
are too many.

Knows addresses and phases, and nothing of HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Protocol

from uvicorn.server import ServerState

from server.limits import ConnectionLimits


class Phase(Enum):
    """What a connection is at. The order is that in which connections are given up."""

    #: the head of a request is not complete, or the rest of an answered one still comes
    HEAD = auto()
    #: between two requests
    IDLE = auto()
    ANSWERING = auto()


class Member(Protocol):
    """A connection, as the table sees it."""

    address: str
    phase: Phase

    def expire(self) -> None:
        """End it, as its head took too long."""

    def cut(self) -> None:
        """End it without a word."""


class Observer(Protocol):
    """What is counted of connections."""

    def request(self, *, transport: str, method: str, code: str, seconds: float) -> None: ...

    def connection_ended(self, reason: str) -> None: ...


class ConnectionTable(ServerState):
    """Connections by phase and address, each in the order in which they came to it."""

    def __init__(self, limits: ConnectionLimits, observer: Observer) -> None:
        super().__init__()
        self.limits = limits
        self.observer = observer
        self._everyone = _Group()
        self._groups: dict[str, _Group] = {}
        #: since when a peer has taken nothing of its answer
        self._stalled: dict[Member, float] = {}

    def admit(self, member: Member) -> bool:
        """Whether there is room for one more.

        It may be made: an attacker who holds connections open must not keep others out, who may
        even share his address, so the oldest without a request go first.
        """
        group = self._groups.get(member.address) or _Group()
        for crowd, most in ((group, self.limits.per_address), (self._everyone, self.limits.total)):
            if crowd.size >= most and not self._evict(crowd):
                self.observer.connection_ended("refused")
                return False
        self._groups[member.address] = group
        group.put(member, Phase.HEAD)
        self._everyone.put(member, Phase.HEAD)
        return True

    def move(self, member: Member, phase: Phase) -> None:
        """Whoever stays in a phase keeps its place in it: single bytes buy no time."""
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
        """Told when a peer stops and starts taking its answer."""
        if is_stalled:
            self._stalled[member] = time.monotonic()
        else:
            self._stalled.pop(member, None)

    def evict_one(self) -> bool:
        """Give up one connection that is not being answered, if there is one."""
        return self._evict(self._everyone)

    def sweep(self) -> None:
        """End what took too long."""
        now = time.monotonic()
        limits = self.limits
        for member in list(self._everyone.older(Phase.HEAD, now - limits.head_s)):
            self._end(member, member.expire, "slow_head")
        # the server's own timer ends idle ones; those left do not take the end of their answer
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
        # before it is closed, which takes a turn of the event loop: its room is free at once
        self.remove(member)
        self.observer.connection_ended(reason)
        end()

    def _drop(self, member: Member) -> None:
        self._everyone.drop(member)
        group = self._groups[member.address]
        group.drop(member)
        if not group.size:
            del self._groups[member.address]


class _Group:
    """Members by phase, and since when each has been in its own."""

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
