"""Converts protobuf messages about jobs to the service's values, and back. Knows no call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from adapterd.v1 import checks_pb2, jobs_pb2
from server.grpc_api.wire import read_struct, struct, timestamp
from server.service.views import JobEventView, JobView
from trainer.pipeline.estimate import Estimate


def read_job_request(
    message: jobs_pb2.CreateJobRequest | checks_pb2.CheckFileRequest,
) -> dict[str, Any]:
    """Only the fields that are set; the trainer has defaults for the others."""
    fields = {
        field.name: value for field, value in message.ListFields() if field.name != "settings"
    }
    if "task_id" in fields:
        fields["task"] = fields.pop("task_id")
    if "metadata" in fields:
        fields["metadata"] = dict(fields["metadata"])
    return {**fields, "settings": read_struct(message.settings, "settings")}


def job(view: JobView) -> jobs_pb2.Job:
    return jobs_pb2.Job(
        id=view.id,
        task_id=view.task,
        status=view.status,
        phase=view.phase,
        progress=view.progress,
        eta_s=view.eta_s,
        created_at=view.created_at,
        create_time=timestamp(view.created_at),
        finished_at=view.finished_at,
        end_time=None if view.finished_at is None else timestamp(view.finished_at),
        version=view.version,
        digest=view.digest or "",
        result=struct(view.result),
        error_code=view.error_code or "",
        error_message=view.error_message or "",
        metadata=view.spec["metadata"],
    )


def event(view: JobEventView) -> jobs_pb2.JobEvent:
    return jobs_pb2.JobEvent(
        number=view.number,
        created_at=view.created_at,
        create_time=timestamp(view.created_at),
        level=view.level,
        code=view.code,
        message=view.message,
        data=struct(view.data),
    )


def update(view: JobView | JobEventView) -> jobs_pb2.Update:
    if isinstance(view, JobView):
        return jobs_pb2.Update(job=job(view))
    return jobs_pb2.Update(event=event(view))


def finding(value: Mapping[str, Any]) -> checks_pb2.Finding:
    return checks_pb2.Finding(
        code=value["code"],
        severity=value["severity"],
        message=value["message"],
        count=value["count"],
        samples=[checks_pb2.Sample(**each) for each in value["samples"]],
        facts=struct(value["facts"]),
    )


def estimate(value: Estimate) -> jobs_pb2.Estimate:
    fields = {**asdict(value), "findings": [finding(each) for each in value.findings]}
    return jobs_pb2.Estimate(**fields)
