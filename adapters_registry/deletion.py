"""Deleting versions and tasks: rows only, as their files stay until they are collected."""

from __future__ import annotations

from typing import Any

from adapters_registry.aliases import Aliases, facts_of
from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.errors import BadManifest, StorageError, UnknownTask, VersionInUse
from adapters_registry.index.sql_index import SqlIndex


class Deletions:
    """All deletions of versions and tasks. Each is one transaction, with its row of the audit
    log.
    """

    def __init__(self, index: SqlIndex, aliases: Aliases, audit: AuditLog) -> None:
        self._index = index
        self._aliases = aliases
        self._audit = audit

    def delete_version(self, tenant: str, task: str, number: int) -> None:
        with self._index.writing(tenant, task):
            facts = self._facts(tenant, task, number)
            naming = [a.name for a in self._index.list_aliases(tenant, task) if a.version == number]
            if naming:
                raise _in_use(task, number, naming)
            self._index.remove_version(tenant, task, number)
            self._record(tenant, task, "version.delete", f"{task}@{number}", facts)

    def delete_task(self, tenant: str, name: str) -> None:
        with self._index.writing(tenant, name):
            if not self._index.has_task(tenant, name):
                raise UnknownTask(f"there is no task {name}", task=name)
            aliases = self._index.list_aliases(tenant, name)
            digests = self._index.list_digests(tenant, name)
            before = {
                "aliases": {alias.name: alias.version for alias in aliases},
                "versions": {str(number): digest for number, digest in digests.items()},
            }
            self._index.remove_task(tenant, name)
            self._record(tenant, name, "task.delete", name, before)

    def _facts(self, tenant: str, task: str, number: int) -> dict[str, Any]:
        """A row that this release cannot read is deleted by its key."""
        try:
            return facts_of(self._aliases.version(tenant, task, number))
        except (BadManifest, StorageError):
            digest = self._index.list_digests(tenant, task).get(number)
            if digest is None:
                raise
            return {"version": number, "digest": digest}

    def _record(
        self, tenant: str, task: str, action: str, target: str, before: dict[str, Any]
    ) -> None:
        self._audit.record(
            Change(tenant=tenant, action=action, target=target, task=task, before=before)
        )


def _in_use(task: str, number: int, naming: list[str]) -> VersionInUse:
    is_single = len(naming) == 1
    names = ", ".join(naming)
    subject = f"alias {names} points" if is_single else f"aliases {names} point"
    them = "it" if is_single else "them"
    return VersionInUse(
        f"the {subject} to {task}@{number}; move or delete {them} first", aliases=naming
    )
