"""What a customer asks to be erased: a file with every version made from it, or all of a tenant."""

from __future__ import annotations

from collections.abc import Callable

from adapters_registry.registry import Registry
from server.audit import note
from server.auth.caller import Caller
from server.dispatch.residency import Residency
from server.errors import BadParameter
from server.pools.pools import Pools
from server.service.history_views import ErasureView, erasure_view
from server.service.resources.tasks import TaskObserver
from server.upkeep.erasure import Eraser, Erasure


class ErasureService:
    """Calls the eraser in threads, because its methods block. Bytes that nobody else needs go with
    the next collections.
    """

    def __init__(
        self,
        eraser: Eraser,
        registry: Registry,
        residency: Residency,
        pools: Pools,
        observer: TaskObserver,
    ) -> None:
        self._eraser, self._registry = eraser, registry
        self._residency, self._observer, self._pools = residency, observer, pools

    async def erase_file(self, caller: Caller, file_id: str, *, dry_run: bool) -> ErasureView:
        """Raises UnknownFile, and FileInUse where a job needs it still."""
        act = self._eraser.preview_file if dry_run else self._eraser.erase_file
        erasure = await self._run(caller, lambda: act(caller.tenant, file_id), dry_run=dry_run)
        if not dry_run:
            facts = {"file": file_id, "versions": len(erasure.versions)}
            note("file.erased", "a file was erased with its versions", caller, **facts)
        return erasure_view(erasure)

    async def erase_tenant(self, caller: Caller, *, dry_run: bool, confirm: str) -> ErasureView:
        """Of the caller, whose name confirms it. Raises BadParameter, TenantInUse and NotFound."""
        if not dry_run and confirm != caller.tenant:
            raise BadParameter(
                f"This erases all of the tenant {caller.tenant!r}, and confirm is "
                f"{confirm[:64]!r}; pass the name of the tenant, or dry_run=true.",
                param="confirm",
            )
        act = self._eraser.preview_tenant if dry_run else self._eraser.erase_tenant
        erasure = await self._run(caller, lambda: act(caller.tenant), dry_run=dry_run)
        if not dry_run:
            for task in dict.fromkeys(ref.split("@")[0] for ref in erasure.versions):
                self._observer.forget_task(caller.tenant, task)
            note("tenant.erased", "a tenant was erased", caller, rows=erasure.num_rows)
        return erasure_view(erasure)

    async def _run(self, caller: Caller, act: Callable[[], Erasure], *, dry_run: bool) -> Erasure:
        """What nobody publishes any more leaves the memory too."""
        pool = self._pools.lookups if dry_run else self._pools.writes
        erasure = await pool.run(caller.tenant, act)
        for digest in () if dry_run else set(erasure.digests):
            if not await self._pools.lookups.run(
                caller.tenant, self._registry.is_published, digest
            ):
                self._residency.discard(digest)
        return erasure
