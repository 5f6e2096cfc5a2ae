"""Protobuf messages that answer predict calls as the client's values. Knows no channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adapterd.v1 import predictor_pb2
from adapterd.values import (
    Classification,
    Completion,
    CompletionChunk,
    ComposedAdapter,
    Embedding,
    Entity,
    Output,
    Prediction,
    Predictions,
    Relevance,
    RowError,
    Span,
    Tags,
    TaskError,
    Timing,
    TokenLogprob,
    Value,
)


def read_prediction(message: predictor_pb2.PredictResponse) -> Prediction:
    return Prediction(
        task=message.task_id,
        version=message.version,
        digest=message.digest,
        outputs=tuple(_read_output(output) for output in message.outputs),
        timing=_read_timing(message.timing),
        composed=tuple(
            ComposedAdapter(task=c.task_id, version=c.version, digest=c.digest, weight=c.weight)
            for c in message.composed
        ),
    )


def read_predictions(message: predictor_pb2.PredictManyResponse) -> Predictions:
    return Predictions(
        results=tuple(_read_result(result) for result in message.results),
        timing=_read_timing(message.timing),
    )


def _read_result(message: predictor_pb2.TaskResult) -> Prediction | TaskError:
    if message.WhichOneof("result") == "prediction":
        return read_prediction(message.prediction)
    error = message.error
    return TaskError(task=message.task_id, code=error.code, message=error.message)


def _read_timing(message: predictor_pb2.Timing) -> Timing:
    return Timing(
        tokenize_ms=message.tokenize_ms,
        queue_ms=message.queue_ms,
        compute_ms=message.compute_ms,
        total_ms=message.total_ms,
    )


def _read_output(message: predictor_pb2.Output) -> Output:
    kind = message.WhichOneof("output")
    if kind in _READERS:
        return _READERS[kind](getattr(message, kind))
    # a head newer than this client: only this row fails, its neighbours are read
    return RowError(code="unknown_output", message="this client is older than the server's answer")


def read_completion(message: predictor_pb2.WrittenText) -> Completion:
    return Completion(
        text=message.text,
        finish_reason=message.finish_reason,
        prompt_tokens=message.usage.prompt_tokens,
        completion_tokens=message.usage.completion_tokens,
        cached_tokens=message.usage.cached_tokens,
        value=message.value if message.HasField("value") else None,
        tokens=_read_logprobs(message.tokens),
    )


def read_chunk(message: predictor_pb2.PredictPiece) -> CompletionChunk:
    return CompletionChunk(
        task=message.task_id,
        version=message.version,
        digest=message.digest,
        input=message.input,
        text=message.text,
        tokens=_read_logprobs(message.tokens),
        finish_reason=message.finish_reason,
        prompt_tokens=message.usage.prompt_tokens,
        completion_tokens=message.usage.completion_tokens,
        cached_tokens=message.usage.cached_tokens,
        error=_read_error(message.error) if message.HasField("error") else None,
    )


def _read_classification(message: predictor_pb2.Classification) -> Classification:
    return Classification(
        label=message.label,
        score=message.score,
        scores=dict(message.scores),
        labels=tuple(message.labels),
        # an older server sends the labels alone
        multi_label=message.multi_label or bool(message.labels),
    )


def _read_entity(message: predictor_pb2.Entity) -> Entity:
    return Entity(
        label=message.label,
        start=message.start,
        end=message.end,
        text=message.text,
        score=message.score,
    )


def _read_logprobs(
    messages: Sequence[predictor_pb2.WrittenToken],
) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token=m.token, logprob=m.logprob, top=_read_logprobs(m.top)) for m in messages
    )


def _read_error(message: predictor_pb2.Error) -> RowError:
    return RowError(code=message.code, message=message.message)


_READERS: dict[str, Callable[[Any], Output]] = {
    "classification": _read_classification,
    "tags": lambda m: Tags(entities=tuple(_read_entity(entity) for entity in m.entities)),
    "value": lambda m: Value(value=m.value),
    "span": lambda m: Span(text=m.text, start=m.start, end=m.end, score=m.score),
    # an older server always sends doubles
    "embedding": lambda m: Embedding(embedding=tuple(m.values or m.embedding)),
    "relevance": lambda m: Relevance(score=m.score),
    "text": read_completion,
    "error": _read_error,
}
