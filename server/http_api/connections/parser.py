"""The HTTP parser of a connection: h11's, with a limit on small chunks. Knows no application."""

from __future__ import annotations

import h11

#: no client sends many chunks that are smaller than their framing
_SMALL_BYTES = 16
_MOST_SMALL_CHUNKS = 2000


class Parser(h11.Connection):
    """Refuses a body of very many tiny chunks: each takes as much time as a large one, in the
    thread that serves all callers.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        #: why this class, not h11, refused the body
        self.fault = ""
        self._num_small_chunks = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._num_small_chunks = 0
        elif isinstance(event, h11.Data) and event.chunk_start and len(event.data) < _SMALL_BYTES:
            self._num_small_chunks += 1
            if self._num_small_chunks > _MOST_SMALL_CHUNKS:
                self.fault = (
                    f"The body comes in more than {_MOST_SMALL_CHUNKS} chunks of fewer than "
                    f"{_SMALL_BYTES} bytes; send larger ones."
                )
                raise h11.RemoteProtocolError(self.fault)
        return event
