"""Protobuf messages about training jobs as the client's values. Knows no channel."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from adapterd.v1 import checks_pb2, jobs_pb2
from adapterd.values import Estimate, Finding, Job, JobEvent, PresetEstimate, Sample
from adapterd.wire.structs import read_struct


def read_job(message: jobs_pb2.Job) -> Job:
    def optional(name: str) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    return Job(
        id=message.id,
        task=message.task_id,
        status=message.status,
        phase=message.phase,
        progress=message.progress,
        eta_s=optional("eta_s"),
        created_at=message.created_at,
        finished_at=optional("finished_at"),
        version=optional("version"),
        digest=message.digest or None,
        result=read_struct(message.result),
        error_code=message.error_code or None,
        error_message=message.error_message or None,
        metadata=dict(message.metadata),
    )


def read_event(message: jobs_pb2.JobEvent) -> JobEvent:
    return JobEvent(
        number=message.number,
        created_at=message.created_at,
        level=message.level,
        code=message.code,
        message=message.message,
        data=read_struct(message.data),
    )


def read_update(message: jobs_pb2.Update) -> Job | JobEvent:
    return read_event(message.event) if message.HasField("event") else read_job(message.job)


def read_estimate(message: jobs_pb2.Estimate) -> Estimate:
    return Estimate(
        steps=message.steps,
        tokens=message.tokens,
        seconds=message.seconds,
        basis=message.basis,
        rows=dict(message.rows),
        trainable_parameters=message.trainable_parameters,
        slot_bytes=message.slot_bytes,
        optimizer_bytes=message.optimizer_bytes,
        cache_bytes=message.cache_bytes,
        warnings=list(message.warnings),
        findings=tuple(read_finding(finding) for finding in message.findings),
        presets=tuple(
            PresetEstimate(
                preset=each.preset,
                summary=each.summary,
                seconds=each.seconds,
                chosen=each.chosen,
                measured=each.measured,
            )
            for each in message.presets
        ),
    )


def read_finding(message: checks_pb2.Finding) -> Finding:
    return Finding(
        code=message.code,
        severity=message.severity,
        message=message.message,
        count=message.count,
        samples=tuple(
            Sample(file=sample.file, line=sample.line, text=sample.text)
            for sample in message.samples
        ),
        facts=MessageToDict(message.facts),
    )
