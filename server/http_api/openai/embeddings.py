"""`POST /v1/embeddings`: texts as vectors, by a task with an embed head."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from server.error_table import error_named
from server.errors import BadCall, BadParameter
from server.http_api.openai.body import Body, documented, is_tokens
from server.http_api.predict import unless_gone
from server.http_api.route import GuardedRoute
from server.service.service import Service
from server.service.token_ids import TokenIds
from server.service.values import Parameters, Prediction, RowError

router = APIRouter(route_class=GuardedRoute, tags=["openai"])
_KNOWN = {"model", "input", "encoding_format", "dimensions"}


@router.post("/v1/embeddings", openapi_extra=documented(_KNOWN, "model", "input"))
async def embeddings(request: Request) -> Response:
    """OpenAI's embeddings."""
    service: Service = request.app.state.service
    body = Body(await request.body(), _KNOWN)
    model, encode = body.text("model"), _encoding(body.fields.get("encoding_format", "float"))
    inputs = _inputs(body.fields.get("input"))
    parameters = Parameters(dimensions=body.count("dimensions"))
    caller = request.state.caller
    if (kind := service.predict.kind_of(caller.tenant, model)) != "embed":
        raise BadCall(f"{model} is {kind}; it makes no embeddings.")
    answer = await unless_gone(request, service.predict.predict(model, inputs, parameters, caller))
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


def _encoding(name: object) -> Any:
    if name not in ("float", "base64"):
        raise BadParameter("encoding_format must be float or base64.", param="encoding_format")
    return _base64 if name == "base64" else list


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def _inputs(given: Any) -> list[str | TokenIds]:
    if isinstance(given, str):
        return [given]
    if is_tokens(given):
        return [TokenIds(ids=given)]
    if isinstance(given, list) and given:
        return [TokenIds(ids=each) if is_tokens(each) else each for each in given]
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
