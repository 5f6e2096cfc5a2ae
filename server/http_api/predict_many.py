"""`POST /v1/predict`: one input, or several, through many tasks in one step of the engine."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from server.error_table import fault_of
from server.errors import BadCall
from server.http_api.predict import (
    INPUT,
    PARAMETERS,
    cancel_on_disconnect,
    read_body,
    render_prediction,
)
from server.http_api.problem import document
from server.http_api.route import GuardedRoute
from server.http_api.schemas import ManyOut
from server.service.parameters import parse_parameters
from server.service.service import Service
from server.service.values import Prediction, TaskFailure

router = APIRouter(route_class=GuardedRoute, tags=["predict"])


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    tasks: list[str]
    input: Any = msgspec.UNSET
    inputs: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Body)
_CALL = {
    "type": "object",
    "required": ["tasks"],
    "description": "Exactly one of input and inputs.",
    "properties": {
        "input": INPUT,
        "inputs": {"type": "array", "items": INPUT},
        "tasks": {"type": "array", "items": {"type": "string"}},
        "parameters": PARAMETERS,
    },
    "additionalProperties": False,
}
_DOCUMENTED = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _CALL}}}
}


@router.post("/v1/predict", responses={200: {"model": ManyOut}}, openapi_extra=_DOCUMENTED)
async def predict_many(request: Request) -> Response:
    """Answer the inputs by every task named.

    A task that fails alone carries its own problem document, an input its own error.
    """
    service: Service = request.app.state.service
    body = read_body(_decoder, _Body, await request.body())
    answer = await cancel_on_disconnect(
        request,
        service.predict_many.predict(
            body.tasks, _inputs(body), parse_parameters(body.parameters), request.state.caller
        ),
    )
    if answer is None:
        return Response(status_code=499)  # only for the metrics: the caller has gone
    results = [_result(result, request.state.request_id) for result in answer.results]
    content = msgspec.json.encode({"results": results, "timing": answer.timing})
    return Response(content, media_type="application/json")


def _inputs(body: _Body) -> list[Any]:
    if (body.input is msgspec.UNSET) == (body.inputs is msgspec.UNSET):
        raise BadCall("The body needs one of input and inputs, and not both.")
    return [body.input] if isinstance(body.inputs, msgspec.UnsetType) else body.inputs


def _result(result: Prediction | TaskFailure, request_id: str) -> dict[str, Any]:
    if isinstance(result, TaskFailure):
        return {"task": result.task, "error": document(fault_of(result.error), request_id)}
    return render_prediction(result)
