"""`/v1/fine_tuning/jobs`: trainings in OpenAI's shape, over the same jobs as `/v1/jobs`."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from adapters_registry.ref import Ref
from server.auth.caller import Caller
from server.http_api.job_stream import job_stream
from server.http_api.openai.fine_tuning_body import job_fields, read_create
from server.http_api.openai.fine_tuning_shape import (
    CHECKPOINTS,
    checkpoint_object,
    event_number,
    event_object,
    job_object,
    list_object,
)
from server.http_api.predict import while_connected
from server.http_api.route import CallerOf, OpenAIRoute, ServiceOf
from server.service.service import Service
from server.service.views import JobView, TaskView

router = APIRouter(route_class=OpenAIRoute, tags=["openai"])
_JOBS = "/v1/fine_tuning/jobs"
_JOB = _JOBS + "/{job_id}"
_NOTE = re.compile(r"metadata\[(.*)\]", re.DOTALL)
#: what OpenAI gives who does not say
_USUAL_LIMIT = 20
LimitOf = Annotated[int, Query(ge=1, le=2**63 - 1)]


@router.post(_JOBS)
async def create_job(request: Request, caller: CallerOf, service: ServiceOf) -> dict[str, Any]:
    """OpenAI's fine-tuning; our settings go under `method.adapter`. With `dry_run` it only says
    what the job would take.
    """
    create = read_create(await request.body())
    task = await _task_of(create.model, caller, service)
    fields = job_fields(create, task, service.info.heads)
    if create.dry_run:
        estimate = await while_connected(request, service.jobs.estimate(caller, fields))
        return {"object": "fine_tuning.estimate", **asdict(estimate)}
    created = await while_connected(request, service.jobs.create(caller, fields))
    return _render(created, caller, service)


@router.get(_JOBS)
async def list_jobs(
    request: Request,
    caller: CallerOf,
    service: ServiceOf,
    after: str | None = None,
    limit: LimitOf = _USUAL_LIMIT,
) -> dict[str, Any]:
    """Your jobs, newest first; of some `metadata[name]=value`, if you say so."""
    query = request.query_params.items()
    notes = {match[1]: value for name, value in query if (match := _NOTE.fullmatch(name))}
    page = await service.jobs.list(caller, after, limit, notes)
    return list_object([_render(view, caller, service) for view in page.items], page)


@router.get(_JOB)
async def get_job(job_id: str, caller: CallerOf, service: ServiceOf) -> dict[str, Any]:
    """One job."""
    return _render(await service.jobs.get(caller, job_id), caller, service)


@router.post(_JOB + "/cancel")
async def cancel_job(job_id: str, caller: CallerOf, service: ServiceOf) -> dict[str, Any]:
    """A waiting job ends at once, a running one within a step."""
    return _render(await service.jobs.cancel(caller, job_id), caller, service)


@router.post(_JOB + "/pause")
async def pause_job(job_id: str, caller: CallerOf, service: ServiceOf) -> dict[str, Any]:
    """A queued job at once, a running one within a step; its `phase` is then `paused`."""
    return _render(await service.jobs.pause(caller, job_id), caller, service)


@router.post(_JOB + "/resume")
async def resume_job(job_id: str, caller: CallerOf, service: ServiceOf) -> dict[str, Any]:
    """A paused job goes back to the queue."""
    return _render(await service.jobs.resume(caller, job_id), caller, service)


@router.get(_JOB + "/events", response_model=None)
async def list_events(
    job_id: str,
    caller: CallerOf,
    service: ServiceOf,
    after: str | None = None,
    limit: LimitOf = _USUAL_LIMIT,
    stream: bool = False,
) -> Response | dict[str, Any]:
    """The events of a job, newest first; as a stream, oldest first until the job has ended."""
    number = event_number(after, job_id)
    if stream:
        return await job_stream(
            service.jobs, caller, job_id, number or 0, lambda event: event_object(event, job_id)
        )
    page = await service.jobs.events(caller, job_id, number, limit, newest_first=True)
    return list_object([event_object(event, job_id) for event in page.items], page)


@router.get(_JOB + "/checkpoints")
async def list_checkpoints(
    job_id: str,
    caller: CallerOf,
    service: ServiceOf,
    after: str | None = None,
    limit: LimitOf = 10,
) -> dict[str, Any]:
    """The states that a job was saved in, newest first; the published one is a model's ref."""
    number = event_number(after, job_id)
    page = await service.jobs.events(
        caller, job_id, number, limit, newest_first=True, codes=CHECKPOINTS
    )
    return list_object([checkpoint_object(event, job_id) for event in page.items], page)


async def _task_of(model: str, caller: Caller, service: Service) -> TaskView | None:
    """None for the base; raises where there is no such model."""
    if (await service.models.get(caller, model)).parent is None:
        return None
    return await service.tasks.get(caller, Ref.parse(model).task)


def _render(view: JobView, caller: Caller, service: Service) -> dict[str, Any]:
    return job_object(view, service.info.base, caller.tenant)
