"""Tasks over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from server.http_api.route import CallerOf, GuardedRoute, ServiceOf
from server.http_api.schemas import TasksOut, Whole
from server.service.views import TaskView

router = APIRouter(route_class=GuardedRoute, tags=["tasks"])


@router.get("/v1/tasks")
async def list_tasks(
    caller: CallerOf, service: ServiceOf, after: str | None = None, limit: Whole = 0
) -> TasksOut:
    """Your tasks, by name."""
    page = await service.tasks.list(caller, after, limit)
    return TasksOut(tasks=list(page.items), has_more=page.has_more)


@router.get("/v1/tasks/{task}")
async def get_task(task: str, caller: CallerOf, service: ServiceOf) -> TaskView:
    """One task: its head, its latest version, its aliases."""
    return await service.tasks.get(caller, task)


@router.delete("/v1/tasks/{task}", status_code=204)
async def delete_task(task: str, caller: CallerOf, service: ServiceOf) -> None:
    """Delete the task with all its versions and aliases."""
    await service.tasks.delete(caller, task)
