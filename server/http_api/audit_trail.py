"""The audit log over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from server.http_api.route import CallerOf, GuardedRoute, ServiceOf
from server.http_api.schemas import AuditOut, Seconds, Whole

router = APIRouter(route_class=GuardedRoute, tags=["audit"])


@router.get("/v1/audit")
async def list_audit_events(
    caller: CallerOf,
    service: ServiceOf,
    task: str | None = None,
    target: str | None = None,
    since: Seconds | None = None,
    before: Whole | None = None,
    limit: Whole = 0,
) -> AuditOut:
    """The changes of the key's tenant, oldest first, the newest that fit; refused ones too.

    `since` is a Unix time, and `before` the `sequence` of the oldest event of the page before.
    """
    page = await service.audit.list(
        caller, task=task, target=target, since=since, before=before, limit=limit
    )
    return AuditOut(events=list(page.items), has_more=page.has_more)
