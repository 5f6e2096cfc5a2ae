"""One HTTP connection: uvicorn's, which also tells the port's table what it is at.

Faults of a peer are answered and counted, and never a line in the log: they come without a key.
"""

from __future__ import annotations

import logging
from asyncio import Task, Transport
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.auth.authenticator import request_id_of
from server.error_table import Fault, fault_of
from server.errors import BadCall, TooManyConnections, TooSlow
from server.http_api.connections.connection_table import ConnectionTable, Phase
from server.http_api.connections.parser import Parser
from server.http_api.problem import render
from server.metrics.metrics import UNMATCHED

_log = logging.getLogger(__name__)
# uvicorn warns of every malformed request
_log.setLevel(logging.ERROR)


class Connection(H11Protocol):
    """A member of its port's table for as long as it is open."""

    def __init__(self, config: Config, table: ConnectionTable, app_state: dict[str, Any]) -> None:
        super().__init__(config, table, app_state)
        self.conn: Parser = Parser()
        self.logger = _log
        self._table = table
        self.address = ""
        self.phase = Phase.HEAD
        self.handshake: Task[object] | None = None
        self.is_connected = False

    def begin_handshake(self, peer: object) -> bool:
        """Whether there is room for it. A peer that is slow with TLS is closed as one that is slow
        with the head of a request.
        """
        self.address = _address(peer)
        return self._table.admit(self)

    def end_handshake(self) -> None:
        """Leaves the table if the handshake has failed."""
        if not self.is_connected:
            self._table.remove(self)

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self.is_connected = True
        self.address = _address(transport.get_extra_info("peername"))
        if self._table.holds(self) or self._table.admit(self):
            super().connection_made(transport)
            return
        self.transport = transport
        self._refuse(fault_of(TooManyConnections()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._settle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._settle()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._table.stall(self, is_stalled=True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._table.stall(self, is_stalled=False)

    def send_400_response(self, msg: str) -> None:
        self._table.observer.observe_request(
            transport="http", method=UNMATCHED, code="400", seconds=0.0
        )
        self._refuse(fault_of(BadCall(self.conn.fault or msg)))

    def expire(self) -> None:
        if not self.is_connected:
            self.cut()
            return
        seconds = self._table.limits.head_s
        self._refuse(fault_of(TooSlow(f"The request was not complete after {seconds:g} s.")))

    def cut(self) -> None:
        if self.is_connected:
            self.transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    def _settle(self) -> None:
        if not self.transport.is_closing():
            self._table.move(self, self._phase())

    def _phase(self) -> Phase:
        if self.cycle is not None and not self.cycle.response_complete:
            return Phase.ANSWERING
        is_between = self.cycle is not None and self.conn.their_state in (h11.IDLE, h11.DONE)
        return Phase.IDLE if is_between and not self.conn.trailing_data[0] else Phase.HEAD

    def _refuse(self, fault: Fault) -> None:
        """Send the error, if no response has begun, and close without waiting until it is read."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = render(fault, request_id_of(None))
            headers = [*answer.raw_headers, (b"connection", b"close")]
            status = HTTPStatus(answer.status_code)
            for event in (
                h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:  # the application may be about to answer a complete head
            self.cycle.disconnected = True
        self.transport.abort()


def _address(peer: object) -> str:
    return str(peer[0]) if isinstance(peer, tuple) else ""
