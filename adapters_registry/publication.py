"""Publishing: bytes first, rows last.

A crash in between leaves stored files no version names, never half a version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters_registry.adapter_files.file_names import check_stored
from adapters_registry.aliases import Aliases, facts_of
from adapters_registry.audit.actor import current_actor
from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.errors import FenceSpent, StorageError
from adapters_registry.index.lineage_index import LineageIndex
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.manifest import ManifestFile
from adapters_registry.ref import PRODUCTION
from adapters_registry.storage.blobs import Blob, Blobs
from adapters_registry.storage.disk import storing
from adapters_registry.values import Alias, Draft, Lineage, Publication, Version

#: the role of what is kept beside a version begins so, as no file's does
BESIDE = "beside."
_ATTEMPTS = 5


class Publisher:
    """Turns a draft and its staged files into a version."""

    def __init__(
        self,
        index: SqlIndex,
        lineages: LineageIndex,
        blobs: Blobs,
        aliases: Aliases,
        audit: AuditLog,
        clock: Callable[[], float],
    ) -> None:
        self._index = index
        self._lineages = lineages
        self._audit = audit
        self._blobs = blobs
        self._aliases = aliases
        self._clock = clock

    def publish(
        self,
        draft: Draft,
        staging: Path,
        names: Mapping[str, str],
        confirm: Callable[[], None] | None = None,
    ) -> Publication:
        """Store the files, then write every row in one transaction.

        Collection may drop a file between the two, as no version names it yet. The transaction
        therefore looks again, and keeps collection away until it ends; if a file is gone, all are
        stored once more.
        """
        for _ in range(_ATTEMPTS):
            files = tuple(self._store(role, staging, name) for role, name in sorted(names.items()))
            beside = self._store_beside(draft.beside, staging)
            complete = replace(draft, manifest=replace(draft.manifest, files=files))
            with self._index.writing(draft.tenant, draft.task):
                if self._blobs.keep((*map(_blob_of, files), *beside.values())):
                    if confirm is not None:
                        confirm()
                    roles = {BESIDE + name: blob.sha256 for name, blob in beside.items()}
                    return self._record(complete, roles)
        raise StorageError(
            "the adapter's files were deleted again and again while it was published"
        )

    def _store(self, role: str, staging: Path, name: str) -> ManifestFile:
        blob = self._blobs.put(staging / check_stored(name))
        return ManifestFile(role=role, path=name, sha256=blob.sha256, size=blob.size)

    def _store_beside(self, documents: Mapping[str, bytes], staging: Path) -> dict[str, Blob]:
        stored = {}
        for name, content in documents.items():
            source = staging / f"{BESIDE}{name}"
            with storing(f"store {name}"):
                source.write_bytes(content)
            stored[name] = self._blobs.put(source)
        return stored

    def _record(self, draft: Draft, beside: Mapping[str, str]) -> Publication:
        """Inside the transaction.

        The same fence, or the same content, gives the version that is already there; the content's
        further lineage is kept.
        """
        spent = draft.fence and self._index.find_fence(draft.tenant, draft.fence)
        if spent:
            return Publication(version=self._of_fence(draft, *spent), is_new=False)
        known = self._index.find_digest(draft.tenant, draft.task, draft.manifest.digest)
        version = known or self._add(draft, beside)
        if draft.fence:
            self._index.add_fence(draft.tenant, draft.fence, draft.task, version.number)
        lineage = self._add_lineage(version, draft, 1 if known is None else None)
        current = self._index.find_alias(draft.tenant, draft.task, PRODUCTION)
        moved = current
        if draft.promote or (current is None and not draft.hold):
            moved = self._aliases.move(version, PRODUCTION, current, "publish")
        self._audit.record(_change(version, lineage, current, moved))
        return Publication(version=version, is_new=known is None)

    def _add_lineage(self, version: Version, draft: Draft, sequence: int | None) -> Lineage:
        lineage = Lineage(
            tenant=version.tenant,
            task=version.task,
            number=version.number,
            sequence=sequence or self._lineages.next_sequence(version),
            at=self._clock(),
            source=draft.source,
            actor=current_actor().document(),
            document=draft.lineage,
        )
        self._lineages.add(lineage)
        return lineage

    def _of_fence(self, draft: Draft, task: str, number: int) -> Version:
        version = self._index.find_version(draft.tenant, task, number)
        if version is None:
            raise FenceSpent(
                f"{draft.fence} already published {task}@{number}, which has been deleted since"
            )
        return version

    def _add(self, draft: Draft, beside: Mapping[str, str]) -> Version:
        now = self._clock()
        version = Version(
            tenant=draft.tenant,
            task=draft.task,
            number=self._index.next_number(draft.tenant, draft.task, now),
            digest=draft.manifest.digest,
            manifest=draft.manifest,
            created_at=now,
            source=draft.source,
            lineage=draft.lineage,
            num_parameters=draft.num_parameters,
            num_bytes=draft.manifest.num_bytes,
        )
        self._index.add_version(version, beside)
        return version


def _change(
    version: Version, lineage: Lineage, before: Alias | None, after: Alias | None
) -> Change:
    """Also where the content was there: its further lineage is a change."""
    facts: dict[str, Any] = {
        **facts_of(version),
        "source": lineage.source,
        "lineage": lineage.sequence,
        PRODUCTION: None if after is None else after.version,
    }
    return Change(
        tenant=version.tenant,
        action="version.publish",
        target=f"{version.task}@{version.number}",
        task=version.task,
        before={PRODUCTION: None if before is None else before.version},
        after=facts,
    )


def _blob_of(file: ManifestFile) -> Blob:
    return Blob(sha256=file.sha256, size=file.size)
