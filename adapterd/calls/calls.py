"""The calls of the API as values: gRPC method, request, and how to read the answer.

Both clients send these values, so that each call is written once. Knows no channel and no event
loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from adapterd.calls.arguments import build_message, to_path, to_struct
from adapterd.calls.call_options import AdapterOptions, GenerationOptions, PredictOptions
from adapterd.calls.inputs import read_inputs
from adapterd.errors import Refused
from adapterd.v1 import (
    adapters_pb2,
    adapters_pb2_grpc,
    checks_pb2_grpc,
    jobs_pb2_grpc,
    predictor_pb2,
    predictor_pb2_grpc,
    tasks_pb2,
    tasks_pb2_grpc,
)
from adapterd.values import (
    Alias,
    AliasEvent,
    CompletionChunk,
    Prediction,
    Predictions,
    Task,
    Version,
)
from adapterd.wire import predictions, resources
from adapterd.wire.adapter_files import ARCHIVES, is_archive_name, register_requests
from adapterd.wire.local_file import path_problem
from adapterd.wire.transfer import open_file

T = TypeVar("T")
PAGE_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStubs:
    """The gRPC stubs of every service over one channel, synchronous or asyncio."""

    predictor: Any
    tasks: Any
    adapters: Any
    jobs: Any
    checks: Any

    @classmethod
    def from_channel(cls, channel: Any) -> ChannelStubs:
        return cls(
            predictor=predictor_pb2_grpc.PredictorStub(channel),
            tasks=tasks_pb2_grpc.TasksStub(channel),
            adapters=adapters_pb2_grpc.AdaptersStub(channel),
            jobs=jobs_pb2_grpc.JobsStub(channel),
            checks=checks_pb2_grpc.ChecksStub(channel),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One call: the stub's method, the request, and the function that reads the answer."""

    method: Callable[[ChannelStubs], Any]
    request: Message | Iterator[Message]
    read: Callable[[Any], T]


def predict(ref: str, inputs: Any, options: PredictOptions) -> Call[Prediction]:
    request = _predict_request(ref, inputs, options)
    return Call(
        method=lambda s: s.predictor.Predict, request=request, read=predictions.read_prediction
    )


def predict_stream(ref: str, inputs: Any, options: GenerationOptions) -> Call[CompletionChunk]:
    request = _predict_request(ref, inputs, options)
    return Call(
        method=lambda s: s.predictor.PredictStream, request=request, read=predictions.read_chunk
    )


def _predict_request(
    ref: str, inputs: Any, options: PredictOptions | GenerationOptions
) -> predictor_pb2.PredictRequest:
    return build_message(
        predictor_pb2.PredictRequest,
        task_id=ref,
        inputs=read_inputs(inputs),
        parameters=to_struct("parameters", options) if options else None,
        float_embeddings=True,
    )


def predict_many(refs: Sequence[str], inputs: Any, *, raw_scores: bool) -> Call[Predictions]:
    if isinstance(refs, str):
        raise Refused(f"{refs!r} is one task; predict_many takes a list of them")
    request = build_message(
        predictor_pb2.PredictManyRequest,
        task_ids=refs,
        inputs=read_inputs(inputs),
        parameters=to_struct("parameters", {"raw_scores": raw_scores}) if raw_scores else None,
        float_embeddings=True,
    )
    return Call(
        method=lambda s: s.predictor.PredictMany, request=request, read=predictions.read_predictions
    )


def list_tasks(after: str, limit: int) -> Call[tuple[list[Task], bool]]:
    return Call(
        method=lambda s: s.tasks.ListTasks,
        request=build_message(tasks_pb2.ListTasksRequest, after=after, limit=limit),
        read=lambda m: ([resources.read_task(task) for task in m.tasks], m.has_more),
    )


def get_task(task: str) -> Call[Task]:
    request = build_message(tasks_pb2.GetTaskRequest, task_id=task)
    return Call(method=lambda s: s.tasks.GetTask, request=request, read=resources.read_task)


def delete_task(task: str) -> Call[None]:
    request = build_message(tasks_pb2.DeleteTaskRequest, task_id=task)
    return Call(method=lambda s: s.tasks.DeleteTask, request=request, read=_read_nothing)


def register(task: str, path: Path | None, options: AdapterOptions) -> Call[Version]:
    plain: dict[str, Any] = {**options}
    settings = to_struct("head_settings", plain.pop("head_settings", {}))
    fields = {"task_id": task, "head_settings": settings, **plain}
    metadata = build_message(adapters_pb2.RegisterMetadata, **fields)
    return Call(
        method=lambda s: s.adapters.Register,
        request=register_requests(metadata, path),
        read=resources.read_version,
    )


def list_versions(task: str) -> Call[list[Version]]:
    return Call(
        method=lambda s: s.adapters.ListVersions,
        request=build_message(adapters_pb2.ListVersionsRequest, task_id=task),
        read=lambda m: [resources.read_version(version) for version in m.versions],
    )


def versions_made_from(file: Path | str) -> Call[list[Version]]:
    with open_file(to_path("file", file)) as stream:
        return versions_made_from_sha256(hashlib.file_digest(stream, "sha256").hexdigest())


def versions_made_from_sha256(sha256: str) -> Call[list[Version]]:
    request = build_message(adapters_pb2.ListVersionsRequest, dataset_sha256=sha256)
    return Call(
        method=lambda s: s.adapters.ListVersions,
        request=request,
        read=lambda m: [resources.read_version(version) for version in m.versions],
    )


def get_version(ref: str) -> Call[Version]:
    request = build_message(adapters_pb2.GetVersionRequest, task_id=ref)
    return Call(
        method=lambda s: s.adapters.GetVersion, request=request, read=resources.read_version
    )


def promote(
    task: str, version: int, alias: str, expected_version: int | None, reason: str | None
) -> Call[Alias]:
    request = build_message(
        adapters_pb2.PromoteRequest,
        task_id=task,
        version=version,
        alias=alias,
        expected_version=expected_version,
        override=reason is not None,
        reason=reason or "",
    )
    return Call(method=lambda s: s.adapters.Promote, request=request, read=resources.read_alias)


def rollback(task: str, alias: str) -> Call[Alias]:
    request = build_message(adapters_pb2.RollbackRequest, task_id=task, alias=alias)
    return Call(method=lambda s: s.adapters.Rollback, request=request, read=resources.read_alias)


def delete_alias(task: str, alias: str, expected_version: int | None) -> Call[None]:
    request = build_message(
        adapters_pb2.DeleteAliasRequest,
        task_id=task,
        alias=alias,
        expected_version=expected_version,
    )
    return Call(method=lambda s: s.adapters.DeleteAlias, request=request, read=_read_nothing)


def alias_history(task: str, alias: str) -> Call[list[AliasEvent]]:
    return Call(
        method=lambda s: s.adapters.AliasHistory,
        request=build_message(adapters_pb2.AliasHistoryRequest, task_id=task, alias=alias),
        read=lambda m: [resources.read_alias_event(event) for event in m.events],
    )


def export(ref: str) -> Call[tuple[str, bytes]]:
    request = build_message(adapters_pb2.ExportRequest, task_id=ref)
    return Call(
        method=lambda s: s.adapters.Export, request=request, read=lambda m: (m.name, m.data)
    )


def delete_version(task: str, version: int) -> Call[None]:
    request = build_message(adapters_pb2.DeleteVersionRequest, task_id=task, version=version)
    return Call(method=lambda s: s.adapters.DeleteVersion, request=request, read=_read_nothing)


def check_adapter_path(adapter: Path | str | None) -> Path | None:
    if adapter is None:
        return None
    path = to_path("adapter", adapter)
    if path.is_dir():
        return path
    if not is_archive_name(path.name):
        raise Refused(
            f"{path} is neither a directory nor an archive by its name: {', '.join(ARCHIVES)}"
        )
    if problem := path_problem(path):
        raise Refused(problem)
    return path


def _read_nothing(_message: Message) -> None:
    return None
