"""Protobuf messages of `adapterd.v1` to the service's values, and back.

Knows no call and no context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from protos.adapterd.v1 import adapters_pb2, jobs_pb2, predictor_pb2, tasks_pb2
from server.service.parameters import parameters_of
from server.service.values import Parameters, Prediction, Registration, RowError
from server.service.views import AliasView, EventView, JobView, TaskView, VersionView

# ---------------------------------------------------------------- in


def read_inputs(messages: Sequence[predictor_pb2.Input]) -> list[object]:
    """What the service reads: strings and mappings.

    An input of a kind no head reads becomes one it refuses.
    """
    return [
        message.text if message.HasField("text") else _read_input(message) for message in messages
    ]


def _read_input(message: predictor_pb2.Input) -> object:
    if message.HasField("pair"):
        return {"text": message.pair.text, "text_pair": message.pair.text_pair}
    if message.HasField("question_context"):
        asked = message.question_context
        return {"question": asked.question, "context": asked.context}
    return None


def read_parameters(message: predictor_pb2.PredictRequest) -> Parameters:
    if not message.HasField("parameters"):
        return Parameters()
    given: dict[str, Any] = dict(message.parameters.items())
    return parameters_of(given)


def read_registration(message: adapters_pb2.RegisterMetadata) -> Registration:
    return Registration(
        task=message.task_id,
        head=message.head,
        labels=tuple(message.labels),
        pooling=message.pooling,
        head_settings=MessageToDict(message.head_settings),
        promote=message.promote,
        note=message.note,
    )


def read_job_request(message: jobs_pb2.CreateJobRequest) -> dict[str, Any]:
    """Only what was said: what is left out gets the trainer's own default."""
    said = {field.name: value for field, value in message.ListFields() if field.name != "settings"}
    if "task_id" in said:
        said["task"] = said.pop("task_id")
    return {**said, "settings": MessageToDict(message.settings)}


# ---------------------------------------------------------------- out


def prediction(value: Prediction) -> predictor_pb2.PredictResponse:
    timing = value.timing
    write = _WRITERS[value.head]
    return predictor_pb2.PredictResponse(
        task_id=value.task,
        version=value.version,
        digest=value.digest,
        outputs=[_error(o) if isinstance(o, RowError) else write(o) for o in value.outputs],
        timing=predictor_pb2.Timing(
            tokenize_ms=timing.tokenize_ms,
            queue_ms=timing.queue_ms,
            compute_ms=timing.compute_ms,
            total_ms=timing.total_ms,
        ),
    )


def _classification(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(classification=predictor_pb2.Classification(**output))


def _tags(output: Mapping[str, Any]) -> predictor_pb2.Output:
    entities = [predictor_pb2.Entity(**entity) for entity in output["entities"]]
    return predictor_pb2.Output(tags=predictor_pb2.Tags(entities=entities))


def _value(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(value=predictor_pb2.Value(value=output["value"]))


def _span(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(span=predictor_pb2.Span(**output))


def _embedding(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(embedding=predictor_pb2.Embedding(**output))


def _relevance(output: Mapping[str, Any]) -> predictor_pb2.Output:
    return predictor_pb2.Output(relevance=predictor_pb2.Relevance(**output))


def _error(error: RowError) -> predictor_pb2.Output:
    return predictor_pb2.Output(error=predictor_pb2.Error(code=error.code, message=error.message))


#: head -> its output message; a new head is one line here
_WRITERS = {
    "classify": _classification,
    "tag": _tags,
    "regress": _value,
    "span": _span,
    "embed": _embedding,
    "rerank": _relevance,
}


def task(view: TaskView) -> tasks_pb2.Task:
    return tasks_pb2.Task(
        task_id=view.task,
        head=view.head,
        latest_version=view.latest_version,
        aliases=dict(view.aliases),
        created_at=view.created_at,
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
        source=view.source,
        aliases=view.aliases,
        lineage=_struct(view.lineage),
    )


def alias(view: AliasView) -> adapters_pb2.Alias:
    return adapters_pb2.Alias(
        task_id=view.task, alias=view.alias, version=view.version, digest=view.digest
    )


def event(view: EventView) -> adapters_pb2.AliasEvent:
    return adapters_pb2.AliasEvent(
        version=view.version, previous_version=view.previous_version, at=view.at, action=view.action
    )


def job(view: JobView) -> jobs_pb2.Job:
    return jobs_pb2.Job(
        id=view.id,
        task_id=view.task,
        status=view.status,
        phase=view.phase,
        progress=view.progress,
        eta_s=view.eta_s,
        created_at=view.created_at,
        finished_at=view.finished_at,
        version=view.version,
        digest=view.digest or "",
        result=_struct(view.result),
        error_code=view.error_code or "",
        error_message=view.error_message or "",
    )


def _struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct
