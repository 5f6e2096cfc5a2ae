"""The calls about training jobs as values like those of `calls`. Knows no channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapterd.calls.arguments import build_message, to_dict, to_path, to_struct
from adapterd.calls.call_options import TrainingOptions
from adapterd.calls.calls import PAGE_ROWS, Call
from adapterd.errors import JobFailed
from adapterd.v1 import jobs_pb2
from adapterd.values import Estimate, Job, JobEvent
from adapterd.wire.jobs import read_estimate, read_event, read_job, read_update

#: an estimate reads the rows and runs a few training steps
ESTIMATE_TIMEOUT_S = 300.0


def data_files(data: object, dev_data: object, test_data: object) -> dict[str, Path]:
    """A training's files by the names of their id fields. Raises Refused before any is sent."""
    files = {"data": data, "dev_data": dev_data, "test_data": test_data}
    paths = {
        name: to_path(name, value)
        for name, value in files.items()
        if value is not None or name == "data"
    }
    return {f"{name.removesuffix('data')}file_id": path for name, path in paths.items()}


def create_job(task: str, file_ids: Mapping[str, str], options: TrainingOptions) -> Call[Job]:
    """`file_ids` holds `file_id` and optionally `dev_file_id` and `test_file_id`."""
    request = _build_job_request(task, file_ids, options)
    return Call(method=lambda s: s.jobs.CreateJob, request=request, read=read_job)


def get_job(job_id: str) -> Call[Job]:
    request = build_message(jobs_pb2.GetJobRequest, id=job_id)
    return Call(method=lambda s: s.jobs.GetJob, request=request, read=read_job)


def list_jobs(after: str, limit: int, id_prefix: str) -> Call[tuple[list[Job], bool]]:
    return Call(
        method=lambda s: s.jobs.ListJobs,
        request=build_message(
            jobs_pb2.ListJobsRequest, after=after, limit=limit, id_prefix=id_prefix
        ),
        read=lambda m: ([read_job(job) for job in m.jobs], m.has_more),
    )


def cancel_job(job_id: str) -> Call[Job]:
    request = build_message(jobs_pb2.CancelJobRequest, id=job_id)
    return Call(method=lambda s: s.jobs.CancelJob, request=request, read=read_job)


def watch_job(job_id: str) -> Call[Job]:
    request = build_message(jobs_pb2.GetJobRequest, id=job_id)
    return Call(method=lambda s: s.jobs.WatchJob, request=request, read=read_job)


def estimate_job(
    task: str, file_ids: Mapping[str, str], options: TrainingOptions
) -> Call[Estimate]:
    request = _build_job_request(task, file_ids, options)
    return Call(method=lambda s: s.jobs.EstimateJob, request=request, read=read_estimate)


def pause_job(job_id: str) -> Call[Job]:
    request = build_message(jobs_pb2.PauseJobRequest, id=job_id)
    return Call(method=lambda s: s.jobs.PauseJob, request=request, read=read_job)


def resume_job(job_id: str) -> Call[Job]:
    request = build_message(jobs_pb2.ResumeJobRequest, id=job_id)
    return Call(method=lambda s: s.jobs.ResumeJob, request=request, read=read_job)


def list_job_events(
    job_id: str, after: int, codes: Sequence[str]
) -> Call[tuple[list[JobEvent], bool]]:
    request = build_message(
        jobs_pb2.ListJobEventsRequest, id=job_id, after=after, limit=PAGE_ROWS, codes=codes
    )
    return Call(
        method=lambda s: s.jobs.ListJobEvents,
        request=request,
        read=lambda m: ([read_event(event) for event in m.events], m.has_more),
    )


def watch(job_id: str, after: int) -> Call[Job | JobEvent]:
    request = build_message(jobs_pb2.WatchRequest, id=job_id, after=after)
    return Call(method=lambda s: s.jobs.Watch, request=request, read=read_update)


def require_success(job: Job) -> Job:
    """The job if it has succeeded; raises JobFailed otherwise."""
    if job.status != "succeeded":
        reason = job.error_message or f"the job was {job.status}"
        raise JobFailed(f"{job.id}: {reason}", problem=job.error_code)
    return job


def _build_job_request(
    task: str, file_ids: Mapping[str, str], options: TrainingOptions
) -> jobs_pb2.CreateJobRequest:
    plain: dict[str, Any] = {**options, **to_dict("file_ids", file_ids)}
    settings = to_struct("settings", plain.pop("settings", {}))
    return build_message(
        jobs_pb2.CreateJobRequest, **{"task_id": task, "settings": settings, **plain}
    )
