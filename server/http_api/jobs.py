"""Training jobs over HTTP."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http_api.job_stream import job_stream
from server.http_api.predict import while_connected
from server.http_api.route import CallerOf, GuardedRoute, ServiceOf
from server.http_api.schemas import EventNumber, JobBody, JobEventsOut, JobsOut, Whole
from server.service.views import JobView
from trainer.jobs.events import CHECKPOINT, PUBLISHED
from trainer.pipeline.estimate import Estimate

router = APIRouter(route_class=GuardedRoute, tags=["jobs"])


@router.post("/v1/jobs", status_code=201)
async def create_job(
    request: Request, body: JobBody, caller: CallerOf, service: ServiceOf, response: Response
) -> JobView | Estimate:
    """Train a version of a task from an uploaded file; with `dry_run` only say what it would take.

    The file is read and checked before the job is queued.
    """
    fields = body.model_dump(exclude_none=True, exclude={"dry_run"})
    if not body.dry_run:
        return await while_connected(request, service.jobs.create(caller, fields))
    response.status_code = 200  # nothing was made
    return await while_connected(request, service.jobs.estimate(caller, fields))


@router.get("/v1/jobs")
async def list_jobs(
    caller: CallerOf,
    service: ServiceOf,
    after: str | None = None,
    limit: Whole = 0,
    id_prefix: str = "",
) -> JobsOut:
    """Your jobs, newest first; with `id_prefix`, those whose id begins so."""
    page = await service.jobs.list(caller, after, limit, id_prefix=id_prefix)
    return JobsOut(jobs=list(page.items), has_more=page.has_more)


@router.get("/v1/jobs/{job_id}")
async def get_job(job_id: str, caller: CallerOf, service: ServiceOf) -> JobView:
    """One job: status, phase, progress, and its result once there is one."""
    return await service.jobs.get(caller, job_id)


@router.post("/v1/jobs/{job_id}/cancel")
async def cancel_job(job_id: str, caller: CallerOf, service: ServiceOf) -> JobView:
    """A queued job ends at once, a running one within a step."""
    return await service.jobs.cancel(caller, job_id)


@router.post("/v1/jobs/{job_id}/pause")
async def pause_job(job_id: str, caller: CallerOf, service: ServiceOf) -> JobView:
    """A queued job at once, a running one within a step."""
    return await service.jobs.pause(caller, job_id)


@router.post("/v1/jobs/{job_id}/resume")
async def resume_job(job_id: str, caller: CallerOf, service: ServiceOf) -> JobView:
    """A paused job goes back to the queue."""
    return await service.jobs.resume(caller, job_id)


@router.get("/v1/jobs/{job_id}/events", response_model=JobEventsOut)
async def list_events(
    job_id: str,
    caller: CallerOf,
    service: ServiceOf,
    after: EventNumber = 0,
    limit: Whole = 0,
    stream: bool = False,
) -> Response | JobEventsOut:
    """The events of a job after the number `after`; as a stream, until the job has ended."""
    if stream:
        return await job_stream(service.jobs, caller, job_id, after, asdict)
    page = await service.jobs.events(caller, job_id, after, limit)
    return JobEventsOut(events=list(page.items), has_more=page.has_more)


@router.get("/v1/jobs/{job_id}/checkpoints")
async def list_checkpoints(
    job_id: str, caller: CallerOf, service: ServiceOf, after: EventNumber = 0, limit: Whole = 0
) -> JobEventsOut:
    """Of a job's events, those that tell of a saved state, and of the version."""
    page = await service.jobs.events(caller, job_id, after, limit, codes=(CHECKPOINT, PUBLISHED))
    return JobEventsOut(events=list(page.items), has_more=page.has_more)
