"""Training jobs over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from server.http_api.route import CallerOf, GuardedRoute, ServiceOf
from server.http_api.schemas import JobBody, JobsOut
from server.service.views import JobView

router = APIRouter(route_class=GuardedRoute, tags=["jobs"])


@router.post("/v1/jobs", status_code=201)
async def create_job(body: JobBody, caller: CallerOf, service: ServiceOf) -> JobView:
    """Train a version of a task from an uploaded file.

    The file is read and checked before the job is queued.
    """
    return await service.jobs.create(caller, body.model_dump(exclude_none=True))


@router.get("/v1/jobs")
async def list_jobs(
    caller: CallerOf, service: ServiceOf, after: str | None = None, limit: int = 0
) -> JobsOut:
    """Your jobs, newest first."""
    page = await service.jobs.list(caller, after, limit)
    return JobsOut(jobs=list(page.items), has_more=page.has_more)


@router.get("/v1/jobs/{job_id}")
async def get_job(job_id: str, caller: CallerOf, service: ServiceOf) -> JobView:
    """One job: status, phase, progress, and its result once there is one."""
    return await service.jobs.get(caller, job_id)


@router.post("/v1/jobs/{job_id}/cancel")
async def cancel_job(job_id: str, caller: CallerOf, service: ServiceOf) -> JobView:
    """A queued job ends at once, a running one within a step."""
    return await service.jobs.cancel(caller, job_id)
