"""What a tenant has: its tasks, in brief."""

from __future__ import annotations

import asyncio

from adapters_registry.registry import Registry
from server.dispatch.residency import Residency
from server.service.page import Page, checked_limit, page_of
from server.service.values import Caller
from server.service.views import TaskView, task_view


class TaskService:
    """Over the registry. Its calls block, so they run in threads."""

    def __init__(self, registry: Registry, residency: Residency) -> None:
        self._registry = registry
        self._residency = residency

    async def list(
        self, caller: Caller, after: str | None = None, limit: int = 0
    ) -> Page[TaskView]:
        limit = checked_limit(limit)
        found = await asyncio.to_thread(self._registry.tasks, caller.tenant, after, limit + 1)
        return page_of(found, limit, task_view)

    async def get(self, caller: Caller, task: str) -> TaskView:
        return task_view(await asyncio.to_thread(self._registry.task, caller.tenant, task))

    async def delete(self, caller: Caller, task: str) -> None:
        """The task with all its versions and aliases."""
        versions = await asyncio.to_thread(self._registry.versions, caller.tenant, task)
        await asyncio.to_thread(self._registry.delete_task, caller.tenant, task)
        for version in versions:
            self._residency.discard(version.digest)
