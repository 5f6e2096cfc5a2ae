"""The one object others hold: publish, resolve, list, promote, roll back, delete, export, sweep.

Synchronous and safe from any thread. Every call names its tenant and sees only that tenant's
tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters_registry.adapter_files import reader
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.staging import Staging
from adapters_registry.aliases import Aliases
from adapters_registry.errors import UnknownTask, VersionInUse
from adapters_registry.export import export
from adapters_registry.index.database import Database
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.manifest import Manifest
from adapters_registry.port import Blobs, Index
from adapters_registry.publication import BESIDE, Publisher
from adapters_registry.ref import PRODUCTION, Ref, check_alias, check_name
from adapters_registry.storage import scratch
from adapters_registry.storage.blobs import DirectoryBlobs
from adapters_registry.storage.cache import ResolveCache
from adapters_registry.storage.disk import Disk
from adapters_registry.values import (
    Alias,
    AliasEvent,
    Draft,
    Publication,
    SweepReport,
    Task,
    Version,
)

#: refs whose version is remembered, unless the caller says how many
CACHE_ENTRIES = 65_536


class Registry:
    """Tasks, versions and aliases of all tenants over an index and a store of bytes."""

    def __init__(
        self,
        index: Index,
        blobs: Blobs,
        staging_root: Path,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
        *,
        cache_entries: int = CACHE_ENTRIES,
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._staging_root = staging_root
        self._limits = limits or Limits()
        self._disk = disk or Disk()
        self._aliases = Aliases(index, clock)
        self._publisher = Publisher(index, blobs, self._aliases, clock)
        self._cache = ResolveCache(cache_entries)

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
        """The embedded default: SQLite and a directory. Removes leftovers of crashed writers."""
        disk = disk or Disk()
        disk.prepare(directory)
        disk.prepare(directory / "blobs")
        index = SqlIndex(Database(directory / "registry.db"))
        blobs = DirectoryBlobs(directory / "blobs", disk)
        staging = directory / "staging"
        registry = cls(index, blobs, staging, limits, clock, disk, cache_entries=cache_entries)
        registry.sweep()
        return registry

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
        `promote`. Publishing the same content again returns the existing version. `fence` is an
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
        return self._publisher.publish(draft, path, files, confirm)

    # ------------------------------------------------------------ look-ups

    def resolve(self, tenant: str, ref: Ref | str) -> Version:
        """The version a ref names now. Asked on every predict call: microseconds unless something
        of the task was written. Not to be called while writing.
        """
        return self._cache.resolve(
            (tenant, str(ref)),
            self._index.generation(),
            self._index.changes_since,
            lambda: self._look_up(tenant, Ref.parse(ref) if isinstance(ref, str) else ref),
        )

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
        """Of any task, those that were trained on a file with these contents."""
        return [v for v in self._index.list_lineages(tenant, sha256) if sha256 in v.datasets]

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
        """Point the alias at the version.

        With `expected`, only if it still names that one (0: does not exist yet). The `reason` stays
        in the alias's history.
        """
        return self._aliases.promote(
            tenant, check_name(task), version, check_alias(alias), expected, reason
        )

    def rollback(self, tenant: str, task: str, alias: str = PRODUCTION) -> Alias:
        return self._aliases.rollback(tenant, check_name(task), check_alias(alias))

    def delete_alias(self, tenant: str, task: str, alias: str, expected: int | None = None) -> None:
        """With `expected`, only if it still names that version. Its history stays."""
        self._aliases.delete(tenant, check_name(task), check_alias(alias), expected)

    # ------------------------------------------------------------ out

    def files(self, version: Version) -> list[tuple[str, Path, str]]:
        """Role, path and sha256 of each file; whoever reads them checks the hash while reading."""
        return [
            (file.role, self._blobs.path(file.sha256, file.size), file.sha256)
            for file in version.manifest.files
        ]

    def beside(self, version: Version, name: str) -> bytes | None:
        """A document that was published with the version, verified; None where it has none."""
        stored = self._index.list_contents(version.tenant, version.task, version.number)
        sha256 = dict(stored).get(BESIDE + name)
        return None if sha256 is None else self._blobs.get(sha256)

    def export(self, version: Version, directory: Path) -> list[Path]:
        """Write the version's files as they came, under their names, and its manifest.json."""
        return export(version, self._blobs, directory, self._disk)

    def delete_version(self, tenant: str, task: str, number: int) -> None:
        with self._index.writing():
            self._look_up(tenant, Ref(task=check_name(task), version=number))
            naming = [a.name for a in self._index.list_aliases(tenant, task) if a.version == number]
            if naming:
                is_single = len(naming) == 1
                names = ", ".join(naming)
                subject = f"alias {names} points" if is_single else f"aliases {names} point"
                them = "it" if is_single else "them"
                raise VersionInUse(
                    f"the {subject} to {task}@{number}; move or delete {them} first",
                    aliases=naming,
                )
            contents = self._index.list_contents(tenant, task, number)
            self._index.remove_version(tenant, task, number)
        self._collect(sha256 for _, sha256 in contents)

    def delete_task(self, tenant: str, task: str) -> None:
        with self._index.writing():
            self.task(tenant, task)
            contents = self._index.list_contents(tenant, task, None)
            self._index.remove_task(tenant, task)
        self._collect(sha256 for _, sha256 in contents)

    def sweep(self) -> SweepReport:
        """Remove what crashed writers left: staging, half-copied files, files without a version."""
        staging = scratch.sweep(self._staging_root, self._disk)
        incoming = self._blobs.sweep()
        orphans = self._collect(self._blobs.list())
        return SweepReport(scratch=(*staging, *incoming), blobs=tuple(orphans))

    def close(self) -> None:
        self._index.close()

    def _look_up(self, tenant: str, ref: Ref) -> Version:
        if ref.version is not None:
            return self._aliases.version(tenant, ref.task, ref.version)
        alias = ref.alias or PRODUCTION
        version = self._index.find_aliased(tenant, ref.task, alias)
        if version is None:
            raise self._aliases.unknown(tenant, ref.task, alias)
        return version

    def _collect(self, sha256s: Iterable[str]) -> list[str]:
        """Delete the stored files that no version of any tenant names.

        After the rows are gone, so a crash leaves orphans, never a row without its files; and in a
        transaction, as publishers look for their files in theirs: none can slip in between.
        """
        candidates = set(sha256s)
        suspects = candidates - self._index.list_referenced(candidates)  # reads block no writer
        if not suspects:
            return []
        with self._index.writing():
            orphans = sorted(suspects - self._index.list_referenced(suspects))
            for sha256 in orphans:
                self._blobs.delete(sha256)
        return orphans
