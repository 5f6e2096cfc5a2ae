"""A tenant's own erasure over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from server.http_api.route import CallerOf, GuardedRoute, ServiceOf
from server.service.history_views import ErasureView

router = APIRouter(route_class=GuardedRoute, tags=["tenant"])


@router.delete("/v1/tenant")
async def erase_tenant(
    caller: CallerOf, service: ServiceOf, confirm: str = "", dry_run: bool = False
) -> ErasureView:
    """Erase all tasks, versions, files, jobs and database keys of the key's tenant.

    `confirm` is the name of the tenant; with `dry_run` nothing goes, and the answer says what
    would. Jobs must have ended. The audit log keeps that it was done.
    """
    return await service.erasures.erase_tenant(caller, dry_run=dry_run, confirm=confirm)
