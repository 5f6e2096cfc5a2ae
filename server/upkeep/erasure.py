"""Erases what a customer may ask for: a file with every version made from it, or a whole tenant.
The audit log keeps that it was done. Knows no transport.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.errors import NotFound
from adapters_registry.index.tables import VERSION_FILE
from adapters_registry.ref import check_name
from adapters_registry.registry import Registry
from adapters_registry.storage import schema
from adapters_registry.storage.blob_table import chunks
from adapters_registry.storage.shared_state import SharedState
from adapters_registry.values import Version
from server.auth.key_table import KeyTable
from server.errors import BadKey
from server.upkeep.storage import REFERENCES, build_collector
from trainer.jobs.content_erasure import ContentErasure
from trainer.training.checkpoints import Checkpoints

_PAGE = 200
#: so often a tenant is looked at again for what was under way
_MAX_LOOKS = 3
#: caches learn from the first that tasks are gone; the others are the log
_KEPT_TABLES = frozenset({"task_change", "audit_event", "audit_head"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What goes, or went."""

    tenant: str
    files: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    #: whose samples, reports and checkpoints go
    jobs: tuple[str, ...] = ()
    #: of the versions
    digests: tuple[str, ...] = ()
    num_rows: int = 0
    #: that were written while the tenant was erased, and are there still; erase it again
    num_rows_left: int = 0
    #: contents that nothing refers to afterwards, and of which bytes are left until collection
    blobs: tuple[str, ...] = ()
    num_deleted_blobs: int = 0
    #: why no bytes were deleted, if something keeps collection from it
    held_by: str = ""


class Eraser:
    """Over a state that servers may be using. With `now`, bytes that nobody else needs are deleted
    at once, unless a backup is being made; else the next collections do it. Folders of checkpoints
    go at once on this machine, and with the next sweep of a worker on others.
    """

    def __init__(self, state: SharedState, registry: Registry | None = None) -> None:
        """A server passes its own registry, which then knows at once."""
        self._state = state
        self._database = state.database
        self._registry = registry or Registry(state)
        self._keys = KeyTable(state.database, state.blobs.clock)
        self._contents = ContentErasure(state.database)

    # ------------------------------------------------------------ a file

    def preview_file(self, tenant: str, file_id: str) -> Erasure:
        """Raises UnknownFile, and FileInUse where a job needs it still."""
        sha256 = self._contents.find_sha256(check_name(tenant, "tenant"), file_id)
        files = self._contents.list_files(tenant, sha256)
        versions = self._registry.versions_made_from(tenant, sha256)
        jobs = self._contents.list_jobs(tenant, files)
        checkpoints = self._contents.list_checkpoints(tenant, jobs)
        return Erasure(
            tenant=tenant,
            files=tuple(files),
            versions=tuple(f"{version.task}@{version.number}" for version in versions),
            aliases=tuple(self._list_aliases(tenant, versions)),
            jobs=tuple(jobs),
            digests=tuple(version.digest for version in versions),
            blobs=(sha256, *self._list_contents(versions), *checkpoints),
        )

    def erase_file(self, tenant: str, file_id: str, *, now: bool = False) -> Erasure:
        """All uploads of its content, the versions, the aliases that name them, and what jobs
        noted. All of it or nothing. Raises as `preview_file` does.
        """
        with self._database.write(f"erase {tenant}"):
            sha256 = self._contents.find_sha256(tenant, file_id)
            self._contents.hold(tenant, self._contents.list_files(tenant, sha256))
            erasure = self.preview_file(tenant, file_id)
            for ref in erasure.aliases:
                task, alias = ref.split("@")
                self._registry.delete_alias(tenant, task, alias)
            for ref in erasure.versions:
                task, number = ref.split("@")
                self._registry.delete_version(tenant, task, int(number))
            self._contents.erase(tenant, erasure.files, erasure.jobs)
            self._record(erasure, "file.erase", file_id)
        return self._collect(erasure, now=now)

    # ------------------------------------------------------------ a tenant

    def preview_tenant(self, tenant: str) -> Erasure:
        """Raises NotFound where nothing is stored for it, and TenantInUse where a job has not
        ended.
        """
        check_name(tenant, "tenant")
        if not self._count_rows(tenant):
            raise NotFound(f"nothing is stored for the tenant {tenant}")
        return self._look_at(tenant)

    def erase_tenant(self, tenant: str, *, now: bool = False) -> Erasure:
        """Every row of it but those of the audit log; its keys are revoked first, and calls that
        were under way may write once more, which is erased too. Raises as `preview_tenant` does.
        """
        erasure = self.preview_tenant(tenant)
        self._revoke_keys(tenant)
        parts = [erasure]
        while self._count_rows(tenant) and len(parts) <= _MAX_LOOKS:
            parts.append(self._erase_rows(tenant))
        erasure = replace(
            erasure,
            blobs=tuple(sorted({sha256 for part in parts for sha256 in part.blobs})),
            digests=tuple(sorted({digest for part in parts for digest in part.digests})),
            versions=tuple(dict.fromkeys(ref for part in parts for ref in part.versions)),
            jobs=tuple(dict.fromkeys(job for part in parts for job in part.jobs)),
            num_rows=sum(part.num_rows for part in parts[1:]),
            num_rows_left=self._count_rows(tenant),
        )
        return self._collect(erasure, now=now)

    def _erase_rows(self, tenant: str) -> Erasure:
        """All that are there now, or none."""
        with self._database.write(f"erase {tenant}") as db:
            erasure = self._look_at(tenant)
            for task in self._list_tasks(tenant):
                self._registry.delete_task(tenant, task)
            for table in reversed(self._tables):
                db.execute(sa.delete(table).where(table.c.tenant == tenant))
            self._record(erasure, "tenant.erase", tenant)
        return erasure

    def _look_at(self, tenant: str) -> Erasure:
        jobs = self._contents.list_jobs_of_tenant(tenant)
        with self._database.read() as db:
            blobs = REFERENCES.list_of_tenant(db, tenant)
        versions = [
            version
            for task in self._list_tasks(tenant)
            for version in self._registry.versions(tenant, task)
        ]
        return Erasure(
            tenant=tenant,
            versions=tuple(f"{version.task}@{version.number}" for version in versions),
            digests=tuple(version.digest for version in versions),
            jobs=tuple(jobs),
            num_rows=self._count_rows(tenant),
            blobs=tuple(blobs),
        )

    def _count_rows(self, tenant: str) -> int:
        with self._database.read() as db:
            return sum(_count(db, table, tenant) for table in self._tables)

    @cached_property
    def _tables(self) -> list[sa.Table]:
        """Of which nothing stays, each after those that it refers to, whoever made them."""
        with self._database.read() as db:
            ours = schema.list_tables(schema.read_revision(db) or schema.head()) - _KEPT_TABLES
            metadata = sa.MetaData()
            metadata.reflect(bind=db, only=lambda name, _: name in ours)
        return [table for table in metadata.sorted_tables if "tenant" in table.c]

    def _revoke_keys(self, tenant: str) -> None:
        for key in self._keys.list():
            if key.tenant == tenant:
                with suppress(BadKey):  # somebody else revoked it meanwhile
                    self._keys.revoke(key.id)

    # ------------------------------------------------------------ inside

    def _collect(self, erasure: Erasure, *, now: bool) -> Erasure:
        Checkpoints.drop_erased(self._state.directory, erasure.jobs)
        if not now:
            return erasure
        collector = build_collector(self._state)
        runs = [collector.run(0, only=some) for some in chunks(list(erasure.blobs))]
        return replace(
            erasure,
            num_deleted_blobs=sum(run.num_deleted for run in runs),
            held_by=next((run.held_by for run in runs if run.held_by), ""),
        )

    def _record(self, erasure: Erasure, action: str, target: str) -> None:
        counts = {
            "files": len(erasure.files),
            "versions": len(erasure.versions),
            "jobs": len(erasure.jobs),
        }
        change = Change(tenant=erasure.tenant, action=action, target=target, before=counts)
        self._registry.audit.record(change)

    def _list_tasks(self, tenant: str) -> list[str]:
        names: list[str] = []
        while page := self._registry.tasks(tenant, names[-1] if names else None, _PAGE):
            names += [task.name for task in page]
        return names

    def _list_aliases(self, tenant: str, versions: Sequence[Version]) -> list[str]:
        doomed = {(version.task, version.number) for version in versions}
        return [
            f"{task}@{alias.name}"
            for task in sorted({version.task for version in versions})
            for alias in self._registry.aliases(tenant, task)
            if (task, alias.version) in doomed
        ]

    def _list_contents(self, versions: Sequence[Version]) -> list[str]:
        """With the reports beside them."""
        contents = set[str]()
        with self._database.read() as db:
            for version in versions:
                stored = VERSION_FILE.c
                mine = (stored.tenant == version.tenant) & (stored.task == version.task)
                query = sa.select(stored.sha256).where(mine, stored.number == version.number)
                contents |= set(db.execute(query).scalars())
        return sorted(contents)


def _count(db: sa.Connection, table: sa.Table, tenant: str) -> int:
    mine = sa.select(sa.func.count()).select_from(table).where(table.c.tenant == tenant)
    return int(db.execute(mine).scalar_one())
