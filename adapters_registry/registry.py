"""The one object others hold: publish, resolve, list, promote, roll back, delete, export.

Synchronous and thread-safe. Every call names its tenant and sees only that tenant's tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters_registry.adapter_files import reader
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.staging import Staging
from adapters_registry.aliases import Aliases
from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.deletion import Deletions
from adapters_registry.errors import Conflict, UnknownTask
from adapters_registry.export import export
from adapters_registry.index.lineage_index import LineageIndex
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.manifest import Manifest
from adapters_registry.publication import BESIDE, Publisher
from adapters_registry.ref import PRODUCTION, Ref, check_alias, check_name
from adapters_registry.storage import scratch
from adapters_registry.storage.cache import ResolveCache
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.shared_state import SharedState
from adapters_registry.values import (
    Alias,
    AliasEvent,
    Draft,
    Lineage,
    Publication,
    Task,
    Version,
)

#: refs whose version is remembered, unless the caller says how many
CACHE_ENTRIES = 65_536


class Registry:
    """Tasks, versions and aliases of all tenants over an index and a store of bytes."""

    def __init__(
        self,
        state: SharedState,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
        *,
        cache_entries: int = CACHE_ENTRIES,
    ) -> None:
        """Over a state that its caller closes. Removes what crashed writers of this machine left
        staged.
        """
        self._state = state
        self._index = SqlIndex(state.database)
        self._blobs = state.blobs
        self._staging_root = state.directory / "staging"
        self._limits = limits or Limits()
        self._disk = disk or Disk()
        self._lineages = LineageIndex(state.database)
        self._audit = AuditLog(state.database, clock)
        self._aliases = Aliases(self._index, self._audit, clock)
        self._publisher = Publisher(
            self._index, self._lineages, self._blobs, self._aliases, self._audit, clock
        )
        self._deletions = Deletions(self._index, self._aliases, self._audit)
        self._cache = ResolveCache(cache_entries)
        scratch.sweep(self._staging_root, self._disk)

    @classmethod
    def open(
        cls,
        directory: Path,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
        *,
        cache_entries: int = CACHE_ENTRIES,
    ) -> Registry:
        """The embedded default: SQLite and a directory."""
        state = SharedState.open(directory, clock=clock, disk=disk)
        return cls(state, limits, clock, disk, cache_entries=cache_entries)

    @property
    def state(self) -> SharedState:
        return self._state

    @property
    def audit(self) -> AuditLog:
        return self._audit

    # ------------------------------------------------------------ in

    def stage(self) -> Staging:
        return Staging(self._staging_root, self._limits, self._disk)

    def check(self, staging: Staging | Path) -> None:
        """Read every staged file strictly. Raises a BadArtifact that names the file."""
        if isinstance(staging, Staging):
            reader.check_directory(staging.path, self._limits, staging.paths_left_out)
        else:
            reader.check_directory(staging, self._limits)

    def publish(
        self,
        *,
        tenant: str,
        task: str,
        staging: Staging | Path,
        kind: str,
        base: Mapping[str, str],
        files: Mapping[str, str],
        semantics: Mapping[str, Any],
        lineage: Mapping[str, Any],
        source: str,
        num_parameters: int,
        promote: bool = False,
        hold: bool = False,
        fence: str | None = None,
        beside: Mapping[str, bytes] | None = None,
        confirm: Callable[[], None] | None = None,
    ) -> Publication:
        """A new version, from staged files that `check` passed; `files` maps role to file name.

        A task's first version becomes production, except with `hold`, a later one only with
        `promote`. Publishing the same content again returns the existing version and keeps the
        further lineage. `fence` is an
        idempotency key: a job that runs twice publishes once. The files `beside` a version, by
        name, are stored and deleted with it and are not part of its digest. `confirm` is called
        inside the write transaction and may raise to abort it.
        """
        check_name(tenant, "tenant")
        check_name(task)
        manifest = Manifest(kind=kind, base=base, files=(), semantics=semantics)
        draft = Draft(
            tenant=tenant, task=task, manifest=manifest, source=source, lineage=lineage,
            num_parameters=num_parameters, promote=promote, hold=hold, fence=fence,
            beside=beside or {},
        )  # fmt: skip
        path = staging.path if isinstance(staging, Staging) else staging
        with self._changing(tenant, task, "version.publish", task):
            return self._publisher.publish(draft, path, files, confirm)

    # ------------------------------------------------------------ look-ups

    def resolve(self, tenant: str, ref: Ref | str) -> Version:
        """The version a ref names now: never older than the last commit before the call, whoever
        made it. Not to be called while writing. Raises StorageError.
        """
        parsed = Ref.parse(ref) if isinstance(ref, str) else ref
        self.refresh()
        return self._cache.find((tenant, str(ref))) or self._cache.fill(
            (tenant, str(ref)), parsed.task, lambda: self._look_up(tenant, parsed)
        )

    def recall(self, tenant: str, ref: Ref | str) -> Version | None:
        """What the ref named at the last `refresh`, from memory alone, in microseconds; None where
        that is not known. What was changed through this registry is known at once. Raises
        NotFound where the ref is known to name nothing.
        """
        return self._cache.find((tenant, str(ref)))

    def refresh(self) -> None:
        """Learn which tasks others changed. Whoever recalls, calls it again and again: its interval
        bounds how old an answer may be. Raises StorageError.
        """
        self._cache.see(self._index.changes_since(self._cache.sequence))

    def is_published(self, digest: str) -> bool:
        """Whether any tenant has a version of this digest."""
        return self._index.is_published(digest)

    def tasks(self, tenant: str, after: str | None = None, limit: int = 100) -> Sequence[Task]:
        return self._index.list_tasks(tenant, check_name(after) if after else "", limit)

    def task(self, tenant: str, name: str) -> Task:
        task = self._index.find_task(tenant, check_name(name))
        if task is None:
            raise UnknownTask(f"there is no task {name}", task=name)
        return task

    def versions(self, tenant: str, task: str) -> Sequence[Version]:
        self.task(tenant, task)
        return self._index.list_versions(tenant, task)

    def versions_made_from(self, tenant: str, sha256: str) -> Sequence[Version]:
        """Of any task, those that were trained on a file with these contents, by any of their
        lineages.
        """
        return self._lineages.list_versions(tenant, sha256)

    def lineages(self, tenant: str, ref: Ref | str) -> Sequence[Lineage]:
        """How the version came to be, each time that its content was published."""
        return self._lineages.list(self.resolve(tenant, ref))

    def aliases(self, tenant: str, task: str) -> Sequence[Alias]:
        return self.task(tenant, task).aliases

    def history(self, tenant: str, task: str, alias: str = PRODUCTION) -> Sequence[AliasEvent]:
        """Of a deleted alias too."""
        events = self._index.list_events(tenant, check_name(task), check_alias(alias))
        if not events:
            self._aliases.find(tenant, task, alias)
        return events

    # ------------------------------------------------------------ moves

    def promote(
        self, tenant: str, task: str, version: int, alias: str = PRODUCTION,
        expected: int | None = None, reason: str = "",
    ) -> Alias:  # fmt: skip
        """Point the alias at the version; with `expected`, only if it still names that one (0: does
        not exist yet). The `reason` stays in the alias's history.
        """
        request = {"version": version, "expected": expected}
        with self._changing(tenant, task, "alias.promote", f"{task}@{alias}", request):
            return self._aliases.promote(
                tenant, check_name(task), version, check_alias(alias), expected, reason
            )

    def rollback(self, tenant: str, task: str, alias: str = PRODUCTION) -> Alias:
        with self._changing(tenant, task, "alias.rollback", f"{task}@{alias}"):
            return self._aliases.rollback(tenant, check_name(task), check_alias(alias))

    def delete_alias(self, tenant: str, task: str, alias: str, expected: int | None = None) -> None:
        """With `expected`, only if it still names that version. Its history stays."""
        request = {"expected": expected}
        with self._changing(tenant, task, "alias.delete", f"{task}@{alias}", request):
            self._aliases.delete(tenant, check_name(task), check_alias(alias), expected)

    # ------------------------------------------------------------ out

    def files(self, version: Version) -> list[tuple[str, Path, str]]:
        """Role, path and sha256 of each file; whoever reads them checks the hash while reading."""
        return [
            (file.role, self._blobs.path(file.sha256, file.size), file.sha256)
            for file in version.manifest.files
        ]

    def examine(self, version: Version) -> bool:
        """After wrong bytes: whether all files can be read now. Others are in quarantine."""
        return all(self._blobs.examine(file.sha256) for file in version.manifest.files)

    def beside(self, version: Version, name: str) -> bytes | None:
        """A document that was published with the version, verified; None where it has none."""
        stored = self._index.list_contents(version.tenant, version.task, version.number)
        sha256 = dict(stored).get(BESIDE + name)
        return None if sha256 is None else self._blobs.get(sha256)

    def export(self, version: Version, directory: Path) -> list[Path]:
        """Write the version's files as they came, under their names, and its manifest.json."""
        return export(version, self._blobs, directory, self._disk)

    def delete_version(self, tenant: str, task: str, number: int) -> None:
        """Its files stay until they are collected."""
        with self._changing(tenant, task, "version.delete", f"{task}@{number}"):
            self._deletions.delete_version(tenant, check_name(task), number)

    def delete_task(self, tenant: str, task: str) -> None:
        """The files of its versions stay until they are collected."""
        with self._changing(tenant, task, "task.delete", task):
            self._deletions.delete_task(tenant, check_name(task))

    def close(self) -> None:
        self._state.close()

    @contextmanager
    def _changing(
        self,
        tenant: str,
        task: str,
        action: str,
        target: str,
        request: Mapping[str, Any] | None = None,
    ) -> Iterator[None]:
        """What this process changed, it sees at once; what was not allowed is recorded."""
        try:
            yield
        except Conflict as error:
            attempt = Change(tenant=tenant, action=action, target=target, task=task, after=request)
            self._audit.refuse(attempt, error)
            raise
        finally:
            self._cache.drop(tenant, task)

    def _look_up(self, tenant: str, ref: Ref) -> Version:
        if ref.version is not None:
            return self._aliases.version(tenant, ref.task, ref.version)
        alias = ref.alias or PRODUCTION
        version = self._index.find_aliased(tenant, ref.task, alias)
        if version is None:
            raise self._aliases.unknown(tenant, ref.task, alias)
        return version
