"""The gRPC service `adapterd.v1.Jobs`. Knows no HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

from adapterd.v1 import jobs_pb2
from server.auth.caller import Caller
from server.grpc_api import job_wire as wire
from server.service.resources.jobs import JobService


class JobsApi:
    """Translates messages and calls the service; contains no logic of its own."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    async def create_job(self, request: jobs_pb2.CreateJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.create(caller, wire.read_job_request(request)))

    async def get_job(self, request: jobs_pb2.GetJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.get(caller, request.id))

    async def list_jobs(
        self, request: jobs_pb2.ListJobsRequest, caller: Caller
    ) -> jobs_pb2.ListJobsResponse:
        page = await self._service.list(
            caller, request.after or None, request.limit, id_prefix=request.id_prefix
        )
        return jobs_pb2.ListJobsResponse(
            jobs=[wire.job(view) for view in page.items], has_more=page.has_more
        )

    async def cancel_job(self, request: jobs_pb2.CancelJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.cancel(caller, request.id))

    async def pause_job(self, request: jobs_pb2.PauseJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.pause(caller, request.id))

    async def resume_job(self, request: jobs_pb2.ResumeJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.resume(caller, request.id))

    async def list_job_events(
        self, request: jobs_pb2.ListJobEventsRequest, caller: Caller
    ) -> jobs_pb2.ListJobEventsResponse:
        page = await self._service.events(
            caller, request.id, request.after, request.limit, codes=list(request.codes)
        )
        return jobs_pb2.ListJobEventsResponse(
            events=[wire.event(view) for view in page.items], has_more=page.has_more
        )

    async def estimate_job(
        self, request: jobs_pb2.CreateJobRequest, caller: Caller
    ) -> jobs_pb2.Estimate:
        return wire.estimate(await self._service.estimate(caller, wire.read_job_request(request)))

    async def watch(
        self, request: jobs_pb2.WatchRequest, caller: Caller
    ) -> AsyncIterator[jobs_pb2.Update]:
        async for view in self._service.updates(caller, request.id, request.after):
            if view is not None:
                yield wire.update(view)

    async def watch_job(
        self, request: jobs_pb2.GetJobRequest, caller: Caller
    ) -> AsyncIterator[jobs_pb2.Job]:
        async for view in self._service.watch(caller, request.id):
            yield wire.job(view)
