"""Completions as protobuf messages of `adapterd.v1`, whole and in chunks. Knows no call."""

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
    """The output of a generate task, as the service returns it."""
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
    model: ResolvedModel, position: int, chunk: CompletionChunk
) -> predictor_pb2.PredictPiece:
    """`position` is that of the input among the call's inputs."""
    return predictor_pb2.PredictPiece(
        task_id=model.name,
        version=model.number,
        digest=model.digest,
        input=position,
        text=chunk.text,
        tokens=_tokens([render_token(token) for token in chunk.tokens]),
        finish_reason=chunk.finish,
        usage=predictor_pb2.Usage(**asdict(chunk.usage)) if chunk.usage else None,
        error=error(chunk.error) if chunk.error else None,
    )


def error(row_error: RowError) -> predictor_pb2.Error:
    return predictor_pb2.Error(code=row_error.code, message=row_error.message)


def _tokens(rendered: Sequence[Mapping[str, Any]]) -> list[predictor_pb2.WrittenToken]:
    return [
        predictor_pb2.WrittenToken(
            token=token["token"], logprob=token["logprob"], top=_tokens(token.get("top", []))
        )
        for token in rendered
    ]
