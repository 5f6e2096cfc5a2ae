"""The gRPC service `adapterd.v1.Tasks`. Knows no HTTP."""

from __future__ import annotations

from adapterd.v1 import tasks_pb2
from server.auth.caller import Caller
from server.grpc_api import wire
from server.service.resources.tasks import TaskService


class TasksApi:
    """Translates messages and calls the service; contains no logic of its own."""

    def __init__(self, service: TaskService) -> None:
        self._service = service

    async def list_tasks(
        self, request: tasks_pb2.ListTasksRequest, caller: Caller
    ) -> tasks_pb2.ListTasksResponse:
        page = await self._service.list(caller, request.after or None, request.limit)
        return tasks_pb2.ListTasksResponse(
            tasks=[wire.task(view) for view in page.items], has_more=page.has_more
        )

    async def get_task(self, request: tasks_pb2.GetTaskRequest, caller: Caller) -> tasks_pb2.Task:
        return wire.task(await self._service.get(caller, request.task_id))

    async def delete_task(
        self, request: tasks_pb2.DeleteTaskRequest, caller: Caller
    ) -> tasks_pb2.DeleteTaskResponse:
        await self._service.delete(caller, request.task_id)
        return tasks_pb2.DeleteTaskResponse()
