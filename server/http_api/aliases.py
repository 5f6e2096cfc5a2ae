"""Aliases over HTTP: list, promote, delete, roll back, history."""

from __future__ import annotations

from fastapi import APIRouter

from server.http_api.route import CallerOf, GuardedRoute, ServiceOf
from server.http_api.schemas import AliasBody, AliasesOut, HistoryOut, Whole
from server.service.resources.promotion import read_override
from server.service.views import AliasView

router = APIRouter(route_class=GuardedRoute, tags=["aliases"])


@router.get("/v1/tasks/{task}/aliases")
async def list_aliases(task: str, caller: CallerOf, service: ServiceOf) -> AliasesOut:
    """All aliases of a task."""
    return AliasesOut(aliases=list(await service.adapters.aliases(caller, task)))


@router.put("/v1/tasks/{task}/aliases/{alias}")
async def promote(
    task: str, alias: str, body: AliasBody, caller: CallerOf, service: ServiceOf
) -> AliasView:
    """Point the alias at a version; with `expected_version`, 409 if it moved meanwhile."""
    override = read_override(body.override, body.reason)
    return await service.adapters.promote(
        caller, task, body.version, alias, body.expected_version, override
    )


@router.delete("/v1/tasks/{task}/aliases/{alias}", status_code=204)
async def delete_alias(
    task: str,
    alias: str,
    caller: CallerOf,
    service: ServiceOf,
    expected_version: Whole | None = None,
) -> None:
    """Delete the alias, also `production`; with `expected_version`, 409 if it moved meanwhile.

    Its history stays.
    """
    await service.adapters.delete_alias(caller, task, alias, expected_version)


@router.post("/v1/tasks/{task}/aliases/{alias}/rollback")
async def rollback(task: str, alias: str, caller: CallerOf, service: ServiceOf) -> AliasView:
    """Point the alias back to where it pointed before."""
    return await service.adapters.rollback(caller, task, alias)


@router.get("/v1/tasks/{task}/aliases/{alias}/history")
async def history(task: str, alias: str, caller: CallerOf, service: ServiceOf) -> HistoryOut:
    """Where the alias has pointed, oldest first."""
    return HistoryOut(events=list(await service.adapters.history(caller, task, alias)))
