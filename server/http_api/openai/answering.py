"""From a parsed call to its response, whole or as a stream of events: the same for completions and
chat completions.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import Request
from starlette.responses import Response

from server.error_table import error_named
from server.http_api.event_stream import EventStream
from server.http_api.openai.shape import Shape
from server.http_api.openai_error import document
from server.http_api.predict import cancel_on_disconnect
from server.service.completion import CompletionChunk
from server.service.generate.call import GenerationCall
from server.service.requests import GenerationRequest
from server.service.resolved_model import ResolvedModel
from server.service.service import Service
from server.service.values import Parameters

#: the status for a caller who has disconnected, which only the metrics show
_GONE = 499


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSpec:
    """A parsed generation call. `shape` builds the renderer of its answer."""

    model: str
    inputs: Sequence[object]
    parameters: Parameters
    num_texts: int
    streams: bool
    form: str
    id_prefix: str
    shape: Callable[..., Shape]


async def answer(request: Request, spec: AnswerSpec) -> Response:
    service: Service = request.app.state.service
    generation = GenerationRequest(
        ref=spec.model,
        inputs=spec.inputs,
        parameters=spec.parameters,
        caller=request.state.caller,
        num_texts=spec.num_texts,
        format=spec.form,
        streams=spec.streams,
    )
    call = await cancel_on_disconnect(request, service.generate.start(generation))
    if call is None:
        return Response(status_code=_GONE)
    try:
        for error in call.errors.values():
            raise error_named(error.code, error.message)
        send = _stream if spec.streams else _whole
        return await send(request, call, _shape(spec, call.model))
    except BaseException as error:
        call.close(error)
        raise


async def _whole(request: Request, call: GenerationCall, shape: Shape) -> Response:
    completions = await cancel_on_disconnect(request, call.completions())
    if completions is None:
        return _abandon(call)
    with call:
        for completion in completions:
            _raise_error(completion)
        content = msgspec.json.encode(shape.whole(completions))
    return Response(content, media_type="application/json", headers=_headers(shape.resolved))


async def _stream(request: Request, call: GenerationCall, shape: Shape) -> Response:
    """Waits for the first chunk, so that an earlier failure is answered with its status."""
    chunks = call.chunks()
    first = await cancel_on_disconnect(request, _first(chunks))
    if first is None:
        return _abandon(call)
    _raise_error(first)
    return EventStream(
        _objects(first, chunks, call, shape),
        call.close,
        _headers(shape.resolved),
        render_error=document,
    )


def _abandon(call: GenerationCall) -> Response:
    """Ends the call of a caller who has disconnected."""
    call.close()
    return Response(status_code=_GONE)


async def _first(pieces: AsyncGenerator[CompletionChunk, None]) -> CompletionChunk:
    return await anext(pieces)


async def _objects(
    first: CompletionChunk,
    chunks: AsyncGenerator[CompletionChunk, None],
    call: GenerationCall,
    shape: Shape,
) -> AsyncGenerator[dict[str, Any], None]:
    with call:
        for event in shape.chunks(first):
            yield event
        async for chunk in chunks:
            _raise_error(chunk)
            for event in shape.chunks(chunk):
                yield event
        for event in shape.last_chunks():
            yield event


def _raise_error(piece: CompletionChunk) -> None:
    if piece.error is not None:
        raise error_named(piece.error.code, piece.error.message)


def _shape(spec: AnswerSpec, resolved: ResolvedModel) -> Shape:
    return spec.shape(
        id=spec.id_prefix + secrets.token_hex(12),
        created=int(time.time()),
        model=spec.model,
        resolved=resolved,
        num_texts=spec.num_texts,
    )


def _headers(resolved: ResolvedModel) -> dict[str, str]:
    return {"x-adapterd-digest": resolved.digest}
