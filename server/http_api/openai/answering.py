"""From a read call to its answer, whole or as a stream of events: the same for both routes that
write.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import Request
from starlette.responses import Response

from server.error_table import error_named
from server.http_api.event_stream import EventStream
from server.http_api.openai.shape import Shape
from server.http_api.predict import unless_gone
from server.service.completion import CompletionChunk
from server.service.generate.opened import Opened
from server.service.generate.request import GenerationRequest
from server.service.service import Service
from server.service.target import ResolvedModel
from server.service.task_timer import TaskTimer
from server.service.values import Parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that writes, once its body is read. `shape` makes the rest of an answer's shape."""

    model: str
    inputs: Sequence[object]
    parameters: Parameters
    num_texts: int
    streams: bool
    form: str
    id_prefix: str
    shape: Callable[..., Shape]


async def answer(request: Request, asked: Asked) -> Response:
    service: Service = request.app.state.service
    author = service.write.author(request.state.caller.tenant, asked.model)
    order = GenerationRequest(
        author=author, inputs=asked.inputs, parameters=asked.parameters,
        caller=request.state.caller, deadline=service.write.deadline(request.state.caller),
        num_texts=asked.num_texts, form=asked.form, streams=asked.streams,
    )  # fmt: skip
    timer = service.write.timer(author, request.state.caller)
    try:
        opened = await unless_gone(request, service.write.open(order))
        if opened is None:
            return _left(timer)
        try:
            for error in opened.errors.values():
                raise error_named(error.code, error.message)
            send = _streamed if asked.streams else _whole
            return await send(request, opened, _shape(asked, author), timer)
        except BaseException:
            opened.close()
            raise
    except BaseException as error:
        timer.end(error)
        raise


def _left(timer: TaskTimer) -> Response:
    """The caller hung up: nobody reads the answer."""
    timer.end(asyncio.CancelledError())
    return Response(status_code=499)


async def _whole(request: Request, opened: Opened, shape: Shape, timer: TaskTimer) -> Response:
    with closing(opened):
        pieces = await unless_gone(request, opened.texts())
    if pieces is None:
        return _left(timer)
    for piece in pieces:
        _raise_error(piece)
    content = msgspec.json.encode(shape.whole(pieces))
    timer.end()
    return Response(content, media_type="application/json", headers=_headers(shape.author))


async def _streamed(request: Request, opened: Opened, shape: Shape, timer: TaskTimer) -> Response:
    """The first piece is waited for: what fails before it is told by the status."""
    pieces = opened.pieces()
    first = await unless_gone(request, _first(pieces))
    if first is None:
        opened.close()
        return _left(timer)
    _raise_error(first)
    objects = timer.around(_objects(first, pieces, shape))
    return EventStream(objects, opened.close, _headers(shape.author))


async def _first(pieces: AsyncGenerator[CompletionChunk, None]) -> CompletionChunk:
    return await anext(pieces)


async def _objects(
    first: CompletionChunk, pieces: AsyncGenerator[CompletionChunk, None], shape: Shape
) -> AsyncGenerator[dict[str, Any], None]:
    for chunk in shape.chunks(first):
        yield chunk
    async for piece in pieces:
        _raise_error(piece)
        for chunk in shape.chunks(piece):
            yield chunk
    for chunk in shape.last_chunks():
        yield chunk


def _raise_error(piece: CompletionChunk) -> None:
    if piece.error is not None:
        raise error_named(piece.error.code, piece.error.message)


def _shape(asked: Asked, author: ResolvedModel) -> Shape:
    return asked.shape(
        id=asked.id_prefix + secrets.token_hex(12), created=int(time.time()), model=asked.model,
        author=author, num_texts=asked.num_texts,
    )  # fmt: skip


def _headers(author: ResolvedModel) -> dict[str, str]:
    return {"x-adapterd-digest": author.digest}
