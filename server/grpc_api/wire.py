"""Converts protobuf messages of `adapterd.v1` to the service's values, and back.

Knows no call and no context.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from adapterd.v1 import adapters_pb2, predictor_pb2, tasks_pb2
from adapterd.v1.private_pool import Struct, Timestamp
from server.error_table import fault_of
from server.errors import BadCall
from server.grpc_api import generated
from server.service.parameters import parse_parameters
from server.service.values import (
    ManyPredictions,
    Parameters,
    Prediction,
    Registration,
    RowError,
    TaskFailure,
    Timing,
)
from server.service.views import AliasView, EventView, TaskView, VersionView

# ---------------------------------------------------------------- in


def read_inputs(messages: Sequence[predictor_pb2.Input]) -> list[object]:
    """The inputs as strings and mappings.

    An empty input becomes None, which the service refuses.
    """
    return [
        message.text if message.HasField("text") else _read_input(message) for message in messages
    ]


def _read_input(message: predictor_pb2.Input) -> object:
    if message.HasField("pair"):
        return {"text": message.pair.text, "text_pair": message.pair.text_pair}
    if message.HasField("question_context"):
        parts = message.question_context
        return {"question": parts.question, "context": parts.context}
    if message.HasField("messages"):
        return _read_messages(message.messages)
    return None


def _read_messages(message: predictor_pb2.Messages) -> object:
    """A conversation that is no JSON becomes None, which the service refuses."""
    if not message.conversation:
        turns = message.messages
        return {"messages": [{"role": turn.role, "content": turn.content} for turn in turns]}
    try:
        return json.loads(message.conversation, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_parameters(
    message: predictor_pb2.PredictRequest | predictor_pb2.PredictManyRequest,
) -> Parameters:
    if not message.HasField("parameters"):
        return Parameters()
    return parse_parameters(read_struct(message.parameters, "parameters"))


def read_registration(message: adapters_pb2.RegisterMetadata) -> Registration:
    return Registration(
        task=message.task_id,
        head=message.head,
        labels=tuple(message.labels),
        pooling=message.pooling,
        head_settings=read_struct(message.head_settings, "head_settings"),
        promote=message.promote,
        note=message.note,
        other_base=message.other_base,
        left_out=tuple(message.left_out),
        source=message.source,
    )


def read_struct(struct: Struct, name: str) -> dict[str, Any]:
    """The Struct as JSON values. It holds only doubles, so whole numbers become int again, except
    those beyond 64 bits.
    """
    try:
        values: dict[str, Any] = _restore_integers(MessageToDict(struct))
    except ValueError as error:  # NaN and infinity, which JSON lacks
        raise BadCall(f"The field {name} contains a number that is not finite.") from error
    return values


def _restore_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _restore_integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_restore_integers(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and -(2**63) <= value < 2**63 else value


# ---------------------------------------------------------------- out


def predictions(
    refs: Sequence[str], value: ManyPredictions, *, floats: bool = False
) -> predictor_pb2.PredictManyResponse:
    pairs = zip(refs, value.results, strict=True)
    results = [_result(ref, result, floats=floats) for ref, result in pairs]
    return predictor_pb2.PredictManyResponse(results=results, timing=_timing(value.timing))


def _result(
    ref: str, result: Prediction | TaskFailure, *, floats: bool
) -> predictor_pb2.TaskResult:
    if isinstance(result, Prediction):
        response = prediction(result, floats=floats)
        return predictor_pb2.TaskResult(task_id=ref, prediction=response)
    fault = fault_of(result.error)
    error = predictor_pb2.Error(code=fault.code, message=fault.message)
    return predictor_pb2.TaskResult(task_id=ref, error=error)


def prediction(value: Prediction, *, floats: bool = False) -> predictor_pb2.PredictResponse:
    """With `floats`, embeddings are 32-bit numbers."""
    write = _WRITERS[value.head]
    if floats and value.head == "embed":
        write = _float_embedding
    return predictor_pb2.PredictResponse(
        task_id=value.task,
        version=value.version,
        digest=value.digest,
        composed=[
            predictor_pb2.Composed(
                task_id=part.task, version=part.version, digest=part.digest, weight=part.weight
            )
            for part in value.composed
        ],
        outputs=[
            predictor_pb2.Output(error=generated.error(o)) if isinstance(o, RowError) else write(o)
            for o in value.outputs
        ],
        timing=_timing(value.timing),
    )


def _timing(value: Timing) -> predictor_pb2.Timing:
    return predictor_pb2.Timing(
        tokenize_ms=value.tokenize_ms,
        queue_ms=value.queue_ms,
        compute_ms=value.compute_ms,
        total_ms=value.total_ms,
    )


def _classification(output: Mapping[str, Any]) -> predictor_pb2.Output:
    classification = predictor_pb2.Classification(**output, multi_label="labels" in output)
    return predictor_pb2.Output(classification=classification)


def _tags(output: Mapping[str, Any]) -> predictor_pb2.Output:
    entities = [predictor_pb2.Entity(**entity) for entity in output["entities"]]
    return predictor_pb2.Output(tags=predictor_pb2.Tags(entities=entities))


def _value(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(value=predictor_pb2.Value(value=output["value"]))


def _span(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(span=predictor_pb2.Span(**output))


def _embedding(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(embedding=predictor_pb2.Embedding(**output))


def _float_embedding(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(embedding=predictor_pb2.Embedding(values=output["embedding"]))


def _relevance(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(relevance=predictor_pb2.Relevance(**output))


#: head -> its output message; a new head is one line here
_WRITERS = {
    "classify": _classification,
    "tag": _tags,
    "regress": _value,
    "span": _span,
    "embed": _embedding,
    "rerank": _relevance,
    "generate": generated.text,
}


def task(view: TaskView) -> tasks_pb2.Task:
    return tasks_pb2.Task(
        task_id=view.task,
        head=view.head,
        latest_version=view.latest_version,
        aliases=dict(view.aliases),
        created_at=view.created_at,
        create_time=timestamp(view.created_at),
    )


def version(view: VersionView) -> adapters_pb2.Version:
    return adapters_pb2.Version(
        task_id=view.task,
        version=view.version,
        digest=view.digest,
        kind=view.kind,
        head=view.head,
        labels=view.labels,
        num_parameters=view.num_parameters,
        num_bytes=view.num_bytes,
        created_at=view.created_at,
        create_time=timestamp(view.created_at),
        source=view.source,
        aliases=view.aliases,
        lineage=struct(view.lineage),
        left_out=view.left_out,
        warnings=view.warnings,
        already_published=view.already_published,
    )


def alias(view: AliasView) -> adapters_pb2.Alias:
    return adapters_pb2.Alias(
        task_id=view.task,
        alias=view.alias,
        version=view.version,
        digest=view.digest,
        warnings=view.warnings,
    )


def event(view: EventView) -> adapters_pb2.AliasEvent:
    return adapters_pb2.AliasEvent(
        version=view.version,
        previous_version=view.previous_version,
        at=view.at,
        action=view.action,
        event_time=timestamp(view.at),
        reason=view.reason,
    )


def struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def timestamp(seconds: float) -> Timestamp:
    message = Timestamp()
    message.FromMicroseconds(
        round(seconds * 1e6)
    )  # a double has no finer resolution for the present
    return message
