"""Written texts out of protobuf messages of `adapterd.v1`. Knows no channel."""

from __future__ import annotations

from collections.abc import Sequence

from adapterd.v1 import predictor_pb2
from adapterd.values.generated import Piece, RowError, WrittenText, WrittenToken


def read_text(message: predictor_pb2.WrittenText) -> WrittenText:
    return WrittenText(
        text=message.text,
        finish_reason=message.finish_reason,
        prompt_tokens=message.usage.prompt_tokens,
        completion_tokens=message.usage.completion_tokens,
        cached_tokens=message.usage.cached_tokens,
        value=message.value if message.HasField("value") else None,
        tokens=_tokens(message.tokens),
    )


def read_piece(message: predictor_pb2.PredictPiece) -> Piece:
    error = message.error
    return Piece(
        task=message.task_id,
        version=message.version,
        digest=message.digest,
        input=message.input,
        text=message.text,
        tokens=_tokens(message.tokens),
        finish_reason=message.finish_reason,
        prompt_tokens=message.usage.prompt_tokens,
        completion_tokens=message.usage.completion_tokens,
        cached_tokens=message.usage.cached_tokens,
        error=RowError(code=error.code, message=error.message)
        if message.HasField("error")
        else None,
    )


def _tokens(found: Sequence[predictor_pb2.WrittenToken]) -> tuple[WrittenToken, ...]:
    return tuple(
        WrittenToken(token=each.token, logprob=each.logprob, top=_tokens(each.top))
        for each in found
    )
