"""Whether a call may come in at all: its size, and the room where its rows would wait.

Early and rough: the queues themselves admit rows, and know their tokens too.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters_registry.values import Version
from engine.heads.generate import GenerateHead
from server.dispatch.waiting_room import WaitingRoom
from server.errors import BadCall, TooManyInputs
from server.limits import CallLimits


class Admission:
    """Rows that write wait in a room of their own, so one that is full keeps no others out."""

    def __init__(self, room: WaitingRoom, writing_room: WaitingRoom, limits: CallLimits) -> None:
        self._room = room
        self._writing_room = writing_room
        self._limits = limits

    def check_size(self, num_inputs: int) -> None:
        """Raises BadCall or TooManyInputs."""
        if not num_inputs:
            raise BadCall("The call holds no inputs.")
        if num_inputs > self._limits.max_inputs:
            raise TooManyInputs(
                f"The call holds {num_inputs} inputs; "
                f"this server takes at most {self._limits.max_inputs} a call."
            )

    def check_rooms(self, versions: Sequence[Version], num_inputs: int) -> None:
        """Raises Draining or Overloaded for so many inputs to each version."""
        num_writing = sum(map(_writes, versions))
        num_others = len(versions) - num_writing
        for room, num in ((self._room, num_others), (self._writing_room, num_writing)):
            if num:
                room.check(num * num_inputs)


def _writes(version: Version) -> bool:
    return bool(version.manifest.semantics["head"]["kind"] == GenerateHead.name)
