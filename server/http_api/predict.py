"""`POST /v1/tasks/{ref}/predict`, the hot route: msgspec parses and encodes it, not pydantic."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadCall, HungUp
from server.http_api.json_body import read_json
from server.http_api.route import GuardedRoute
from server.http_api.schemas import PredictOut
from server.service.parameters import PRIORITIES, parse_parameters
from server.service.sampling_params import NAMES as SAMPLING_NAMES
from server.service.service import Service
from server.service.values import Prediction, RowError

router = APIRouter(route_class=GuardedRoute, tags=["predict"])


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[Any]
    parameters: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Body)
B = TypeVar("B", bound=msgspec.Struct)
T = TypeVar("T")
TEXT = {"type": "string"}
_FLAG = {"type": "boolean", "default": False}
_PRIORITY = {"type": "string", "enum": list(PRIORITIES), "default": "interactive"}
_COMPOSE = {
    "type": "array",
    "maxItems": 8,
    "items": {
        "type": "object",
        "required": ["ref"],
        "properties": {"ref": TEXT, "weight": {"type": "number", "default": 1.0}},
        "additionalProperties": False,
    },
}
_PAIR = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": TEXT, "text_pair": TEXT},
    "additionalProperties": False,
}
_MESSAGES = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "messages": {
            "type": "array",
            "items": {"type": "object", "required": ["role"], "properties": {"role": TEXT}},
        },
        "tools": {"type": "array", "items": {"type": "object"}},
        "chat_template_kwargs": {"type": "object"},
    },
    "additionalProperties": False,
}
_QUESTION = {
    "type": "object",
    "required": ["question", "context"],
    "properties": {"question": TEXT, "context": TEXT},
    "additionalProperties": False,
}
INPUT = {"anyOf": [TEXT, _PAIR, _QUESTION, _MESSAGES]}
PARAMETERS = {
    "type": "object",
    "properties": {
        "raw_scores": _FLAG,
        "truncate": _FLAG,
        "priority": _PRIORITY,
        "normalize": {"type": "boolean"},
        "dimensions": {"type": "integer", "minimum": 1},
        "max_tokens": {"type": "integer", "minimum": 1},
        "compose": _COMPOSE,
        **{
            name: {"description": "applies to text generation; see docs/generation.md"}
            for name in SAMPLING_NAMES
        },
    },
    "additionalProperties": False,
}
_CALL = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "inputs": {"type": "array", "items": INPUT},
        "parameters": PARAMETERS,
    },
    "additionalProperties": False,
}
_DOCUMENTED = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _CALL}}}
}


@router.post(
    "/v1/tasks/{ref}/predict", responses={200: {"model": PredictOut}}, openapi_extra=_DOCUMENTED
)
async def predict(request: Request, ref: str) -> Response:
    """Answer each input with the version that the ref resolves to.

    If one input fails, its output is the error, and the others are still answered.
    """
    service: Service = request.app.state.service
    body = read_body(_decoder, _Body, await request.body())
    answer = await cancel_on_disconnect(
        request,
        service.predict.predict(
            ref,
            body.inputs,
            parse_parameters(body.parameters),
            request.state.caller,
        ),
    )
    if answer is None:
        return Response(status_code=499)  # only for the metrics: the caller has gone
    return Response(
        msgspec.json.encode({**render_prediction(answer), "timing": answer.timing}),
        media_type="application/json",
        headers={"x-adapterd-digest": answer.digest},
    )


def read_body(decoder: msgspec.json.Decoder[B], body: type[B], content: bytes) -> B:
    """Raises BadCall."""
    fields = read_json(content)
    try:
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise BadCall(f"The body is not a predict call: {error}.") from None
    except msgspec.DecodeError:
        return _read_leniently(body, fields)


def _read_leniently(body: type[B], fields: Any) -> B:
    """msgspec's decoder refuses half surrogates as malformed JSON, but only the input that has them
    is wrong, not the call.
    """
    try:
        return msgspec.convert(fields, body)
    except msgspec.ValidationError as error:
        raise BadCall(f"The body is not a predict call: {error}.") from None
    except UnicodeEncodeError:
        raise BadCall("The body contains a field name that is not valid Unicode.") from None


def render_prediction(answer: Prediction) -> dict[str, Any]:
    outputs = [
        {"error": {"code": output.code, "message": output.message}}
        if isinstance(output, RowError)
        else output
        for output in answer.outputs
    ]
    return {
        "task": answer.task,
        "version": answer.version,
        "digest": answer.digest,
        **({"composed": answer.composed} if answer.composed else {}),
        "outputs": outputs,
    }


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. Raises HungUp, and cancels it, if the caller disconnects first."""
    answer = await cancel_on_disconnect(request, work)
    if answer is None:
        raise HungUp
    return answer


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work. None, and the work is cancelled, if the caller disconnects first."""
    answering = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((answering, listening), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        return None
    finally:
        listening.cancel()
        if not answering.done():
            answering.cancel()
            await asyncio.wait((answering,))
