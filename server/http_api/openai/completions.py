"""`POST /v1/completions`: prompts without a chat template, after the version's instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadParameter
from server.http_api.openai.answering import AnswerSpec, answer
from server.http_api.openai.body import FIXED, SAMPLING, Body, describe_body, is_tokens
from server.http_api.openai.shape import Shape
from server.http_api.route import OpenAIRoute
from server.service.completion import CompletionChunk, CompletionToken
from server.service.inputs.inputs import TokenIds
from server.service.sampling_params import parse_sampling_params
from server.service.service import Service
from server.service.values import Parameters

router = APIRouter(route_class=OpenAIRoute, tags=["openai"])
_KNOWN = (
    SAMPLING
    | FIXED.keys()
    | {
        "model",
        "prompt",
        "max_tokens",
        "n",
        "best_of",
        "echo",
        "logprobs",
        "stream",
        "stream_options",
        "suffix",
    }
)
#: OpenAI's defaults
_DEFAULTS = {"temperature": 1.0}
_MAX_TOKENS = 16


@router.post("/v1/completions", openapi_extra=describe_body(_KNOWN, "model", "prompt"))
async def completions(request: Request) -> Response:
    """OpenAI's completions: the base, or a task that writes, goes on from each prompt."""
    body = Body(await request.body(), _KNOWN)
    service: Service = request.app.state.service
    prompts = _prompts(body.fields.get("prompt"))
    num_texts = body.count("n") or 1
    _refuse_others(body, num_texts)
    logprobs = body.count("logprobs", 0)
    parameters = Parameters(
        max_tokens=body.count("max_tokens") or _MAX_TOKENS,
        sampling_params=parse_sampling_params(
            {**body.sampling(), "logprobs": logprobs}, defaults=_DEFAULTS
        ),
    )
    shape = partial(
        CompletionShape,
        includes_usage=body.includes_usage,
        with_logprobs=logprobs is not None,
        echoed=[_echo(prompt, service) for prompt in prompts] if body.flag("echo") else [],
    )
    return await answer(
        request,
        AnswerSpec(
            model=body.text("model"),
            inputs=prompts,
            parameters=parameters,
            num_texts=num_texts,
            streams=body.flag("stream"),
            form="plain",
            id_prefix="cmpl-",
            shape=shape,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionShape(Shape):
    """`echoed` are the prompts that come before their completions, if the call asks for them."""

    echoed: Sequence[str]

    whole_object = "text_completion"
    chunk_object = "text_completion"

    def choice(self, piece: CompletionChunk) -> dict[str, Any]:
        return self.deltas(piece, is_first=True)[0]

    def deltas(self, piece: CompletionChunk, *, is_first: bool) -> Sequence[dict[str, Any]]:
        echo = self.echoed[piece.row // self.num_texts] if self.echoed and is_first else ""
        return [
            {
                "index": piece.row,
                "text": echo + piece.text,
                "logprobs": _logprobs(piece.tokens) if self.with_logprobs else None,
                "finish_reason": piece.finish or None,
            }
        ]


def _logprobs(tokens: Sequence[CompletionToken]) -> dict[str, Any]:
    return {
        "tokens": [token.chosen.text for token in tokens],
        "token_logprobs": [token.chosen.logprob for token in tokens],
        "top_logprobs": [
            {other.text: other.logprob for other in (*token.top, token.chosen)} for token in tokens
        ],
        "text_offset": [token.offset for token in tokens],
    }


def _prompts(value: Any) -> list[str | TokenIds]:
    if isinstance(value, str):
        return [value]
    if is_tokens(value):
        return [TokenIds(ids=value)]
    if isinstance(value, list) and value and all(isinstance(prompt, str) for prompt in value):
        return list(value)
    if isinstance(value, list) and value and all(map(is_tokens, value)):
        return [TokenIds(ids=tokens) for tokens in value]
    raise BadParameter(
        "prompt must be a string, a list of strings, token ids, or a list of lists of token ids.",
        param="prompt",
    )


def _refuse_others(body: Body, num_texts: int) -> None:
    if "suffix" in body.fields:
        raise BadParameter(
            "suffix is refused: the base writes on from a prompt and fills no gap before a suffix.",
            param="suffix",
        )
    if (body.count("best_of") or num_texts) != num_texts:
        raise BadParameter(
            "best_of is refused where it is not n: texts are not written to be thrown away.",
            param="best_of",
        )
    if body.flag("echo") and "logprobs" in body.fields:
        raise BadParameter(
            "echo with logprobs is refused: tokens of the prompt have none.", param="echo"
        )


def _echo(prompt: str | TokenIds, service: Service) -> str:
    return prompt if isinstance(prompt, str) else service.generate.decode_prompt(prompt)
