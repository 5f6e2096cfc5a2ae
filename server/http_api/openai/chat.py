"""`POST /v1/chat/completions`: a conversation through the base's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadParameter
from server.http_api.openai.answering import AnswerSpec, answer
from server.http_api.openai.body import FIXED, SAMPLING, Body, describe_body
from server.http_api.openai.messages import TOOLS, conversation
from server.http_api.openai.shape import Shape
from server.http_api.route import OpenAIRoute
from server.service.completion import CompletionChunk, CompletionToken, TopLogprob
from server.service.sampling_params import parse_sampling_params
from server.service.values import Parameters

router = APIRouter(route_class=OpenAIRoute, tags=["openai"])
#: OpenAI's older names, which are refused with a sentence that says the newer one
_OLDER = {"functions": "tools", "function_call": "tool_choice"}
_KNOWN = (
    SAMPLING
    | FIXED.keys()
    | {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "logprobs",
        "top_logprobs",
        "stream",
        "stream_options",
        "modalities",
        "chat_template_kwargs",
        "reasoning_effort",
        *TOOLS,
        *_OLDER,
    }
)
#: OpenAI's defaults
_DEFAULTS = {"temperature": 1.0}


@router.post("/v1/chat/completions", openapi_extra=describe_body(_KNOWN, "model", "messages"))
async def chat_completions(request: Request) -> Response:
    """OpenAI's chat completions, by the base or by a task that writes."""
    body = Body(await request.body(), _KNOWN)
    _refuse_others(body)
    logprobs = _logprobs_of(body)
    parameters = Parameters(
        max_tokens=body.count("max_completion_tokens") or body.count("max_tokens"),
        sampling_params=parse_sampling_params(
            {**body.sampling(), "logprobs": logprobs}, defaults=_DEFAULTS
        ),
    )
    shape = partial(
        ChatShape, includes_usage=body.includes_usage, with_logprobs=logprobs is not None
    )
    return await answer(
        request,
        AnswerSpec(
            model=body.text("model"),
            inputs=[conversation(body)],
            parameters=parameters,
            num_texts=body.count("n") or 1,
            streams=body.flag("stream"),
            form="",
            id_prefix="chatcmpl-",
            shape=shape,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatShape(Shape):
    """A choice is a message. In a stream, its role comes first, and its finish reason alone."""

    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def choice(self, piece: CompletionChunk) -> dict[str, Any]:
        return {
            "index": piece.row,
            "message": {"role": "assistant", "content": piece.text, "refusal": None},
            "logprobs": self._logprobs(piece.tokens),
            "finish_reason": piece.finish,
        }

    def deltas(self, piece: CompletionChunk, *, is_first: bool) -> Sequence[dict[str, Any]]:
        deltas = [_delta(piece, {"role": "assistant", "content": ""})] if is_first else []
        if piece.text or piece.tokens:
            content = _delta(piece, {"content": piece.text})
            deltas.append(content | {"logprobs": self._logprobs(piece.tokens)})
        if piece.finish:
            deltas.append(_delta(piece, {}) | {"finish_reason": piece.finish})
        return deltas

    def _logprobs(self, tokens: Sequence[CompletionToken]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        return {"content": [_token(token) for token in tokens], "refusal": None}


def _delta(piece: CompletionChunk, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": piece.row, "delta": delta, "logprobs": None, "finish_reason": None}


def _token(token: CompletionToken) -> dict[str, Any]:
    top = [_logprob(logprob) for logprob in token.top]
    return _logprob(token.chosen) | {"top_logprobs": top}


def _logprob(logprob: TopLogprob) -> dict[str, Any]:
    return {"token": logprob.text, "logprob": logprob.logprob, "bytes": list(logprob.bytes)}


def _logprobs_of(body: Body) -> int | None:
    top = body.count("top_logprobs", 0)
    if not body.flag("logprobs"):
        if top is not None:
            raise BadParameter("top_logprobs need logprobs.", param="top_logprobs")
        return None
    return top or 0


def _refuse_others(body: Body) -> None:
    for name, newer in _OLDER.items():
        if body.fields.get(name) not in (None, [], "none", "auto"):
            raise BadParameter(f"{name} is not read here; use {newer}.", param=name)
    if body.fields.get("modalities", ["text"]) != ["text"]:
        raise BadParameter("modalities: this server generates text only.", param="modalities")
