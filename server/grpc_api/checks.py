"""The gRPC service `adapterd.v1.Checks`. Knows no HTTP."""

from __future__ import annotations

from adapterd.v1 import checks_pb2
from server.auth.caller import Caller
from server.grpc_api.job_wire import finding, read_job_request
from server.service.resources.checks import CheckService


class ChecksApi:
    """Translates messages and calls the service; contains no logic of its own."""

    def __init__(self, service: CheckService) -> None:
        self._service = service

    async def check_file(
        self, request: checks_pb2.CheckFileRequest, caller: Caller
    ) -> checks_pb2.FileCheck:
        view = await self._service.create(caller, read_job_request(request))
        return checks_pb2.FileCheck(
            file_id=view.file_id,
            ok=view.ok,
            rows=view.rows,
            kind=view.kind,
            findings=[finding(each) for each in view.findings],
        )
