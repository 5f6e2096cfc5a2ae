"""`adapterd.v1.Jobs`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from protos.adapterd.v1 import jobs_pb2
from server.grpc_api import wire
from server.service.jobs import JobService
from server.service.values import Caller


class JobsApi:
    """Translates and calls; decides nothing."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    async def create_job(self, request: jobs_pb2.CreateJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.create(caller, wire.read_job_request(request)))

    async def get_job(self, request: jobs_pb2.GetJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.get(caller, request.id))

    async def list_jobs(
        self, request: jobs_pb2.ListJobsRequest, caller: Caller
    ) -> jobs_pb2.ListJobsResponse:
        page = await self._service.list(caller, request.after or None, request.limit)
        return jobs_pb2.ListJobsResponse(
            jobs=[wire.job(view) for view in page.items], has_more=page.has_more
        )

    async def cancel_job(self, request: jobs_pb2.CancelJobRequest, caller: Caller) -> jobs_pb2.Job:
        return wire.job(await self._service.cancel(caller, request.id))

    async def watch_job(
        self, request: jobs_pb2.GetJobRequest, caller: Caller
    ) -> AsyncIterator[jobs_pb2.Job]:
        async for view in self._service.watch(caller, request.id):
            yield wire.job(view)
