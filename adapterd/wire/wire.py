"""Protobuf messages of `adapterd.v1` as the client's values. Knows no channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import MessageToDict

from adapterd.v1 import adapters_pb2, predictor_pb2, tasks_pb2
from adapterd.values.composed import Composed
from adapterd.values.values import (
    Alias,
    AliasEvent,
    Classification,
    Embedding,
    Entity,
    Output,
    Prediction,
    Predictions,
    Relevance,
    RowError,
    Span,
    Tags,
    Task,
    TaskError,
    Timing,
    Value,
    Version,
)
from adapterd.wire.generated import read_text


def read_prediction(message: predictor_pb2.PredictResponse) -> Prediction:
    return Prediction(
        task=message.task_id,
        version=message.version,
        digest=message.digest,
        outputs=tuple(_output(output) for output in message.outputs),
        timing=_timing(message.timing),
        composed=tuple(
            Composed(task=c.task_id, version=c.version, digest=c.digest, weight=c.weight)
            for c in message.composed
        ),
    )


def read_predictions(message: predictor_pb2.PredictManyResponse) -> Predictions:
    return Predictions(
        results=tuple(_result(result) for result in message.results),
        timing=_timing(message.timing),
    )


def _result(message: predictor_pb2.TaskResult) -> Prediction | TaskError:
    if message.WhichOneof("result") == "prediction":
        return read_prediction(message.prediction)
    error = message.error
    return TaskError(task=message.task_id, code=error.code, message=error.message)


def _timing(message: predictor_pb2.Timing) -> Timing:
    return Timing(
        tokenize_ms=message.tokenize_ms,
        queue_ms=message.queue_ms,
        compute_ms=message.compute_ms,
        total_ms=message.total_ms,
    )


def _output(message: predictor_pb2.Output) -> Output:
    kind = message.WhichOneof("output")
    if kind in _READERS:
        return _READERS[kind](getattr(message, kind))
    # a head newer than this client: the row fails alone, its neighbours are read
    return RowError(code="unknown_output", message="this client is older than the server's answer")


def _classification(found: predictor_pb2.Classification) -> Classification:
    return Classification(
        label=found.label,
        score=found.score,
        scores=dict(found.scores),
        labels=tuple(found.labels),
    )


def _entity(entity: predictor_pb2.Entity) -> Entity:
    return Entity(
        label=entity.label,
        start=entity.start,
        end=entity.end,
        text=entity.text,
        score=entity.score,
    )


_READERS: dict[str, Callable[[Any], Output]] = {
    "classification": _classification,
    "tags": lambda m: Tags(entities=tuple(_entity(entity) for entity in m.entities)),
    "value": lambda m: Value(value=m.value),
    "span": lambda m: Span(text=m.text, start=m.start, end=m.end, score=m.score),
    # an older server sends doubles, whatever is asked
    "embedding": lambda m: Embedding(embedding=tuple(m.values or m.embedding)),
    "relevance": lambda m: Relevance(score=m.score),
    "text": read_text,
    "error": lambda m: RowError(code=m.code, message=m.message),
}


def read_task(message: tasks_pb2.Task) -> Task:
    return Task(
        task=message.task_id,
        head=message.head,
        latest_version=message.latest_version,
        aliases=dict(message.aliases),
        created_at=message.created_at,
    )


def read_version(message: adapters_pb2.Version) -> Version:
    return Version(
        task=message.task_id,
        version=message.version,
        digest=message.digest,
        kind=message.kind,
        head=message.head,
        labels=tuple(message.labels),
        num_parameters=message.num_parameters,
        num_bytes=message.num_bytes,
        created_at=message.created_at,
        source=message.source,
        aliases=tuple(message.aliases),
        lineage=counted(MessageToDict(message.lineage)),
        left_out=tuple(message.left_out),
        warnings=tuple(message.warnings),
    )


def read_alias(message: adapters_pb2.Alias) -> Alias:
    return Alias(
        task=message.task_id,
        alias=message.alias,
        version=message.version,
        digest=message.digest,
    )


def read_event(message: adapters_pb2.AliasEvent) -> AliasEvent:
    has_previous = message.HasField("previous_version")
    return AliasEvent(
        version=message.version,
        previous_version=message.previous_version if has_previous else None,
        at=message.at,
        action=message.action,
    )


def counted(value: Any) -> Any:
    """A protobuf Struct knows doubles only; whole ones are counts again: 3.0 rows are 3."""
    if isinstance(value, dict):
        return {name: counted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [counted(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
