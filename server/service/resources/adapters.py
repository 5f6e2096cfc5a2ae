"""Versions and aliases: registering, promoting, exporting and deleting adapters."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from adapters_registry.ref import PRODUCTION, check_name
from adapters_registry.registry import Registry
from adapters_registry.values import Alias, Publication, Version
from engine.heads import is_generation
from engine.port import EnginePort, Inspected
from engine.text.prompts import PROMPT_FILES
from server.audit import note
from server.auth.caller import Caller
from server.dispatch.residency import Residency
from server.errors import BadCall
from server.pools.pools import Pools
from server.service.generate.prompts import PromptReader
from server.service.history_views import LineageView, lineage_view
from server.service.imports.receiver import Receiver, Upload
from server.service.inputs.text import check_text
from server.service.resources.export import Export, drop
from server.service.resources.head_settings import head_of
from server.service.resources.inspector import Inspector
from server.service.resources.promotion import Override, promote_version
from server.service.resources.reports import Reports
from server.service.values import Registration
from server.service.views import (
    AliasView,
    EventView,
    VersionView,
    alias_view,
    event_view,
    version_view,
)

_SHA256 = re.compile("[0-9a-f]{64}")


class AdapterService:
    """Manages versions in the registry and inspects uploaded adapters.

    Each kind of work has threads of its own, so that slow uploads delay no look-up.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        port: EnginePort,
        residency: Residency,
        inspector: Inspector,
        receiver: Receiver,
        prompts: PromptReader,
        pools: Pools,
    ) -> None:
        self._registry, self._port = registry, port
        self._residency, self._prompts, self._inspector = residency, prompts, inspector
        self._receiver = receiver
        self._reports = Reports(registry)
        self._pools = pools

    # ------------------------------------------------------------ in

    async def register(
        self, caller: Caller, registration: Registration, upload: Upload
    ) -> VersionView:
        """Stages, checks, inspects and publishes; a refused adapter leaves nothing behind."""
        for name in ("head", "labels", "pooling", "head_settings", "note"):
            check_text(getattr(registration, name), name)
        loop = asyncio.get_running_loop()
        made, record = await self._pools.transfers.run_cancellable(
            caller.tenant, lambda gone: self._register(caller, registration, upload, loop, gone)
        )
        version = made.version
        ref = f"{version.task}@{version.number}"
        note("adapter.registered", "a version was registered", caller, ref=ref)
        # the same content may be registered already, from a directory with other files
        facts = {name: record.get(name, []) for name in ("left_out", "warnings")}
        return replace(await self._view(version), already_published=not made.is_new, **facts)

    def _register(
        self,
        caller: Caller,
        registration: Registration,
        upload: Upload,
        loop: asyncio.AbstractEventLoop,
        gone: threading.Event,
    ) -> tuple[Publication, dict[str, Any]]:
        """The publication, and its record for the lineage."""
        check_name(registration.task)
        head = head_of(registration)
        with self._registry.stage() as staging:
            source, origin = self._receiver.receive(
                staging, registration, upload, caller.tenant, gone
            )
            if not any(staging.path.iterdir()) and is_generation((head or {}).get("kind")):
                for name, content in PROMPT_FILES.items():
                    staging.write(name, [content])
            inspected = self._inspector.inspect(
                staging, head, other_base=registration.other_base, loop=loop, gone=gone
            )
            if is_generation(inspected.semantics["head"]["kind"]):
                self._prompts.check(inspected.semantics["head"])
            info = self._port.info
            record = {**_record_of(registration, caller, staging.left_out, inspected), **origin}
            made = self._registry.publish(
                tenant=caller.tenant,
                task=registration.task,
                staging=staging,
                kind=inspected.semantics["kind"],
                base={"fingerprint": info.fingerprint, "name": info.base},
                files=inspected.files,
                semantics=inspected.semantics,
                lineage=record,
                source=source,
                num_parameters=inspected.num_parameters,
                promote=registration.promote,
            )
        return made, record

    # ------------------------------------------------------------ look-ups

    async def list(self, caller: Caller, task: str) -> Sequence[VersionView]:
        versions, aliases = await self._pools.lookups.run_for(caller.tenant, self._versions, task)
        return [version_view(version, aliases) for version in versions]

    async def list_made_from(self, caller: Caller, sha256: str) -> Sequence[VersionView]:
        """Versions of all tasks that were trained on a file with this sha256."""
        if not _SHA256.fullmatch(sha256):
            raise BadCall(f"A sha256 has 64 hexadecimal digits; {sha256!r} is not one.")
        return await self._pools.lookups.run_for(caller.tenant, self._made_from, sha256)

    async def report_page(self, caller: Caller, ref: str) -> str:
        """Raises NoReport for a version that was not trained here."""
        version = await self._pools.lookups.run_for(caller.tenant, self._registry.resolve, ref)
        return await self._pools.lookups.run(caller.tenant, self._reports.page, version)

    async def get(self, caller: Caller, ref: str) -> VersionView:
        return await self._view(
            await self._pools.lookups.run_for(caller.tenant, self._registry.resolve, ref)
        )

    async def lineages(self, caller: Caller, ref: str) -> Sequence[LineageView]:
        """Each one that the version's content was published with."""
        lineages = await self._pools.lookups.run_for(caller.tenant, self._registry.lineages, ref)
        return [lineage_view(lineage) for lineage in lineages]

    async def aliases(self, caller: Caller, task: str) -> Sequence[AliasView]:
        aliases = await self._pools.lookups.run_for(caller.tenant, self._registry.aliases, task)
        return [alias_view(alias) for alias in aliases]

    async def history(
        self, caller: Caller, task: str, alias: str = PRODUCTION
    ) -> Sequence[EventView]:
        events = await self._pools.lookups.run_for(
            caller.tenant, self._registry.history, task, alias
        )
        return [event_view(event) for event in events]

    # ------------------------------------------------------------ moves

    async def promote(
        self,
        caller: Caller,
        task: str,
        version: int,
        alias: str = PRODUCTION,
        expected: int | None = None,
        override: Override | None = None,
    ) -> AliasView:
        """Moves the alias: later calls get the version; calls in progress keep theirs.

        Raises WorseThanProduction for `production`, unless overridden.
        """
        if version < 1:
            raise BadCall(f"version is {version}; versions count from 1.")
        reason = "" if override is None else override.reason
        moved, warnings = await self._pools.writes.run_for(
            caller.tenant,
            partial(promote_version, self._registry, is_gated=override is None, reason=reason),
            task,
            version,
            alias,
            expected,
        )
        facts = {"ref": f"{task}@{alias}", "version": moved.version, "reason": reason}
        note("alias.promoted", "an alias was moved", caller, **facts)
        return alias_view(moved, warnings)

    async def rollback(self, caller: Caller, task: str, alias: str = PRODUCTION) -> AliasView:
        moved = await self._pools.writes.run_for(
            caller.tenant, self._registry.rollback, task, alias
        )
        facts = {"ref": f"{task}@{alias}", "version": moved.version}
        note("alias.rolled_back", "an alias was rolled back", caller, **facts)
        return alias_view(moved)

    async def delete_alias(
        self, caller: Caller, task: str, alias: str, expected: int | None = None
    ) -> None:
        """Calls by the alias are refused from then on. Raises AliasMoved."""
        await self._pools.writes.run_for(
            caller.tenant, self._registry.delete_alias, task, alias, expected
        )
        note("alias.deleted", "an alias was deleted", caller, ref=f"{task}@{alias}")

    # ------------------------------------------------------------ out

    async def export(self, caller: Caller, ref: str) -> Export:
        making = asyncio.ensure_future(
            self._pools.transfers.run_for(caller.tenant, self._export, ref)
        )
        try:
            exported = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(drop)  # its thread continues, and its files must not remain
            raise
        note("adapter.exported", "a version was exported", caller, ref=ref)
        return exported

    def _export(self, tenant: str, ref: str) -> Export:
        version = self._registry.resolve(tenant, ref)
        area = self._registry.stage()  # in the data directory, and removed after a crash
        try:
            return Export(version, area, self._registry.export(version, area.path))
        except BaseException:
            area.remove()
            raise

    async def delete(self, caller: Caller, task: str, number: int) -> None:
        """Raises VersionInUse if an alias points to the version."""
        if number < 1:
            raise BadCall(f"version is {number}; versions count from 1.")
        version = await self._pools.lookups.run_for(
            caller.tenant, self._registry.resolve, f"{task}@{number}"
        )
        await self._pools.writes.run_for(caller.tenant, self._registry.delete_version, task, number)
        if not await self._pools.lookups.run(
            caller.tenant, self._registry.is_published, version.digest
        ):
            self._residency.discard(version.digest)
        note("adapter.deleted", "a version was deleted", caller, ref=f"{task}@{number}")

    async def _view(self, version: Version) -> VersionView:
        """With the whole report in its lineage; a list shows only the summary."""
        aliases = await self._pools.lookups.run_for(
            version.tenant, self._registry.aliases, version.task
        )
        report = await self._pools.lookups.run(version.tenant, self._reports.read, version)
        return version_view(version, aliases, report)

    def _made_from(self, tenant: str, sha256: str) -> Sequence[VersionView]:
        versions = self._registry.versions_made_from(tenant, sha256)
        tasks = {version.task for version in versions}
        aliases = {task: self._registry.aliases(tenant, task) for task in tasks}
        return [version_view(version, aliases[version.task]) for version in versions]

    def _versions(self, tenant: str, task: str) -> tuple[Sequence[Version], Sequence[Alias]]:
        return self._registry.versions(tenant, task), self._registry.aliases(tenant, task)


def _record_of(
    registration: Registration, caller: Caller, left_out: Sequence[str], inspected: Inspected
) -> dict[str, Any]:
    """The lineage of a registered version: who sent it, with which note, and what is in doubt."""
    doubts = {
        "left_out": list(left_out),
        "warnings": inspected.warnings,
        "other_base": inspected.other_base,
    }
    return {
        "note": registration.note,
        "key": caller.key_id,
        **{name: value for name, value in doubts.items() if value},
    }
