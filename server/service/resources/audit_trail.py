"""The audit log of a tenant: what was changed, by whom, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence

from adapters_registry.audit.audit_log import AuditLog
from server.auth.caller import Caller
from server.pools.pools import Pools
from server.service.history_views import AuditEventView, audit_event_view
from server.service.inputs.text import check_text
from server.service.page import Page, check_limit


class AuditTrail:
    """Reads in threads, because the log's methods block. A caller sees its own tenant's chain."""

    def __init__(self, log: AuditLog, pools: Pools) -> None:
        self._log, self._pools = log, pools

    async def list(
        self,
        caller: Caller,
        *,
        task: str | None = None,
        target: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 0,
    ) -> Page[AuditEventView]:
        """The newest that fit, oldest first; `before` is the sequence number of the oldest one of
        the page before.
        """
        limit = check_limit(limit)
        check_text([task, target], "task or target")
        events = await self._pools.lookups.run(
            caller.tenant,
            lambda: self._log.list(
                caller.tenant,
                task=task,
                target=target,
                since=since,
                before=before,
                limit=limit + 1,
            ),
        )
        newest: Sequence[AuditEventView] = [audit_event_view(event) for event in events[-limit:]]
        return Page(items=newest, has_more=len(events) > limit)
