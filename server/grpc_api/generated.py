"""Texts as protobuf messages of `adapterd.v1`, whole and piece by piece. Knows no call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from adapterd.v1 import predictor_pb2
from server.service.answers import render_token
from server.service.completion import CompletionChunk
from server.service.resolved_model import ResolvedModel
from server.service.values import RowError


def text(output: Mapping[str, Any]) -> predictor_pb2.Output:
    """An output of a task that writes, as the service gives it."""
    return predictor_pb2.Output(
        text=predictor_pb2.WrittenText(
            text=output["text"],
            finish_reason=output["finish_reason"],
            usage=predictor_pb2.Usage(**output["usage"]),
            value=output.get("value"),
            tokens=_tokens(output.get("logprobs", [])),
        )
    )


def piece(
    author: ResolvedModel, position: int, found: CompletionChunk
) -> predictor_pb2.PredictPiece:
    """`position` is that of the input among the call's inputs."""
    return predictor_pb2.PredictPiece(
        task_id=author.name,
        version=author.number,
        digest=author.digest,
        input=position,
        text=found.text,
        tokens=_tokens([render_token(token) for token in found.tokens]),
        finish_reason=found.finish,
        usage=predictor_pb2.Usage(**asdict(found.usage)) if found.usage else None,
        error=error(found.error) if found.error else None,
    )


def error(found: RowError) -> predictor_pb2.Error:
    return predictor_pb2.Error(code=found.code, message=found.message)


def _tokens(shown: Sequence[Mapping[str, Any]]) -> list[predictor_pb2.WrittenToken]:
    return [
        predictor_pb2.WrittenToken(
            token=token["token"], logprob=token["logprob"], top=_tokens(token.get("top", []))
        )
        for token in shown
    ]
