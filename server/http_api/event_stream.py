"""Server-sent events: one JSON object each, and an end; or an error, where it comes too late for a
status.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.audit import note_fault
from server.auth.revocation import while_confirmed
from server.error_table import fault_of
from server.http_api.openai_error import document

_END = b"data: [DONE]\n\n"
#: a comment, which readers of events skip
_ALIVE = b": nothing new\n\n"


class EventStream(Response):
    """Sends what `objects` yields, for none a sign of life, and calls `close` at its end, be it
    that the caller hung up.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        objects: AsyncGenerator[Mapping[str, Any] | None, None],
        close: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        self._objects, self._close = objects, close
        self.status_code, self.background = 200, None
        # proxies that gather answers before they pass them on would hold pieces back
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(scope, send))
        listening = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            self._close()
            sending.cancel()
            listening.cancel()
            await asyncio.wait((sending, listening))

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with (
                aclosing(self._objects) as objects,
                aclosing(while_confirmed(objects, scope["state"]["confirm"])) as confirmed,
            ):
                async for each in confirmed:
                    await _body(send, _ALIVE if each is None else _event(each))
            await _body(send, _END)
        except Exception as error:  # noqa: BLE001 whatever it is, the caller waits to hear of it
            await _body(send, _event(document(_told(error, scope))))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _told(error: Exception, scope: Scope) -> Any:
    fault, state = fault_of(error), scope["state"]
    note_fault(
        error, fault,
        method=scope["path"], request_id=state["request_id"], caller=state["caller"],
    )  # fmt: skip
    return fault


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


async def _body(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
