"""Whether a call may come in at all: is there room where its rows would wait?

Early and rough: the queues themselves admit rows, and know their tokens too.
"""

from __future__ import annotations

from collections.abc import Sequence

from server.dispatch.request_queue import RequestQueue
from server.service.target import ResolvedModel


class Admission:
    """Rows that write wait in a room of their own, so one that is full keeps no others out."""

    def __init__(self, room: RequestQueue, writing_room: RequestQueue) -> None:
        self._room = room
        self._writing_room = writing_room

    def check(self, authors: Sequence[ResolvedModel], num_inputs: int) -> None:
        """Raises Draining or Overloaded for so many inputs to each of them."""
        num_writing = sum(author.generates for author in authors)
        num_others = len(authors) - num_writing
        for room, num in ((self._room, num_others), (self._writing_room, num_writing)):
            if num:
                room.check(num * num_inputs)
