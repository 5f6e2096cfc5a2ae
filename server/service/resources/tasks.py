"""The tasks of a tenant: listing, looking up and deleting them."""

from __future__ import annotations

from typing import Protocol

from adapters_registry.registry import Registry
from server.audit import note
from server.auth.caller import Caller
from server.dispatch.residency import Residency
from server.pools.pools import Pools
from server.service.page import Page, check_limit, page_of
from server.service.views import TaskView, task_view


class TaskObserver(Protocol):
    """Is notified of deleted tasks."""

    def forget_task(self, tenant: str, task: str) -> None: ...


class TaskService:
    """Calls the registry in threads, because its methods block."""

    def __init__(
        self, registry: Registry, residency: Residency, pools: Pools, observer: TaskObserver
    ) -> None:
        self._registry, self._observer = registry, observer
        self._lookups, self._writes = pools.lookups, pools.writes
        self._residency = residency

    async def list(
        self, caller: Caller, after: str | None = None, limit: int = 0
    ) -> Page[TaskView]:
        limit = check_limit(limit)
        tasks = await self._lookups.run_for(caller.tenant, self._registry.tasks, after, limit + 1)
        return page_of(tasks, limit, task_view)

    async def get(self, caller: Caller, task: str) -> TaskView:
        return task_view(await self._lookups.run_for(caller.tenant, self._registry.task, task))

    async def delete(self, caller: Caller, task: str) -> None:
        """Deletes the task with all its versions and aliases."""
        versions = await self._lookups.run_for(caller.tenant, self._registry.versions, task)
        await self._writes.run_for(caller.tenant, self._registry.delete_task, task)
        for digest in {version.digest for version in versions}:
            if not await self._lookups.run(caller.tenant, self._registry.is_published, digest):
                self._residency.discard(digest)
        self._observer.forget_task(caller.tenant, task)
        note("task.deleted", "a task was deleted", caller, ref=task, versions=len(versions))
