"""`POST /v1/embeddings`: texts as vectors, by a task with an embed head."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from server.error_table import error_named
from server.errors import BadParameter
from server.http_api.openai.body import Body, describe_body, is_tokens
from server.http_api.predict import cancel_on_disconnect
from server.http_api.route import OpenAIRoute
from server.service.inputs.inputs import TokenIds
from server.service.service import Service
from server.service.values import Parameters, Prediction, RowError

router = APIRouter(route_class=OpenAIRoute, tags=["openai"])
_KNOWN = {
    "model",
    "input",
    "encoding_format",
    "dimensions",
    "truncate",
    "truncate_prompt_tokens",
    "input_type",
}


@router.post("/v1/embeddings", openapi_extra=describe_body(_KNOWN, "model", "input"))
async def embeddings(request: Request) -> Response:
    """OpenAI's embeddings, by a task with an embed head or by the base.

    `truncate` and vLLM's `truncate_prompt_tokens` (-1: as many as are read) cut long inputs;
    `input_type` names one of the base's own prompts.
    """
    service: Service = request.app.state.service
    body = Body(await request.body(), _KNOWN)
    model, encode = body.text("model"), _encoding(body.fields.get("encoding_format", "float"))
    inputs = _inputs(body.fields.get("input"))
    caller = request.state.caller
    work = service.predict.embed(model, inputs, _parameters(body), caller)
    answer = await cancel_on_disconnect(request, work)
    if answer is None:
        return Response(status_code=499)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(_vectors(answer))
        ],
        "model": model,
        "usage": {"prompt_tokens": answer.num_tokens, "total_tokens": answer.num_tokens},
    }
    headers = {"x-adapterd-digest": answer.digest}
    return Response(msgspec.json.encode(content), media_type="application/json", headers=headers)


def _parameters(body: Body) -> Parameters:
    cut_to = body.count("truncate_prompt_tokens", least=-1)
    if cut_to == 0:
        raise BadParameter(
            "truncate_prompt_tokens is 0; it must be 1 or more, or -1.",
            param="truncate_prompt_tokens",
        )
    return Parameters(
        dimensions=body.count("dimensions"),
        truncate=body.flag("truncate") or cut_to is not None,
        cut_to=cut_to if cut_to != -1 else None,
        purpose=body.text("input_type") if "input_type" in body.fields else "",
    )


def _encoding(name: object) -> Any:
    if name not in ("float", "base64"):
        raise BadParameter("encoding_format must be float or base64.", param="encoding_format")
    return _base64 if name == "base64" else list


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def _inputs(value: Any) -> list[str | TokenIds]:
    if isinstance(value, str):
        return [value]
    if is_tokens(value):
        return [TokenIds(ids=value)]
    if isinstance(value, list) and value:
        return [TokenIds(ids=item) if is_tokens(item) else item for item in value]
    raise BadParameter(
        "input must be a string, a list of strings, token ids, or a list of lists of token ids.",
        param="input",
    )


def _vectors(answer: Prediction) -> list[list[float]]:
    vectors = []
    for output in answer.outputs:
        if isinstance(output, RowError):
            raise error_named(output.code, output.message)
        vectors.append(output["embedding"])
    return vectors
