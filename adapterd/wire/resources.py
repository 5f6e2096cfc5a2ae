"""Protobuf messages about tasks, versions and aliases as the client's values. Knows no channel."""

from __future__ import annotations

from adapterd.v1 import adapters_pb2, tasks_pb2
from adapterd.values import Alias, AliasEvent, Task, Version
from adapterd.wire.structs import read_struct


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
        lineage=read_struct(message.lineage),
        left_out=tuple(message.left_out),
        warnings=tuple(message.warnings),
        already_published=message.already_published,
    )


def read_alias(message: adapters_pb2.Alias) -> Alias:
    return Alias(
        task=message.task_id,
        alias=message.alias,
        version=message.version,
        digest=message.digest,
        warnings=tuple(message.warnings),
    )


def read_alias_event(message: adapters_pb2.AliasEvent) -> AliasEvent:
    has_previous = message.HasField("previous_version")
    return AliasEvent(
        version=message.version,
        previous_version=message.previous_version if has_previous else None,
        at=message.at,
        action=message.action,
        reason=message.reason,
    )
