"""The rules by which an alias moves: compare-and-set, history, audit, and going back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.errors import (
    AliasMoved,
    NotFound,
    NothingToRollBack,
    UnknownAlias,
    UnknownTask,
    UnknownVersion,
)
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.ref import PRODUCTION
from adapters_registry.values import Alias, AliasEvent, Version

MAX_NUMBER = 999_999_999
#: times that a rollback begins again where somebody else moved the alias, before it keeps them out
_TRIES = 3


class Aliases:
    """All moves of all aliases. Each is one transaction that also appends its event."""

    def __init__(self, index: SqlIndex, audit: AuditLog, clock: Callable[[], float]) -> None:
        self._index = index
        self._audit = audit
        self._clock = clock

    def promote(
        self, tenant: str, task: str, number: int, alias: str, expected: int | None, reason: str
    ) -> Alias:
        with self._index.writing(tenant, task):
            version = self.version(tenant, task, number)
            current = self._index.find_alias(tenant, task, alias)
            _check_expected(task, alias, current, expected)
            return self._move_recorded(version, alias, current, "promote", reason)

    def delete(self, tenant: str, task: str, name: str, expected: int | None) -> None:
        with self._index.writing(tenant, task):
            current = self.find(tenant, task, name)
            _check_expected(task, name, current, expected)
            self._index.remove_alias(current)
            gone = replace(current, moved_at=self._clock())
            self._index.add_event(self._event(gone, current, "delete", ""))
            before = {"version": current.version, "digest": current.digest}
            self._audit.record(
                Change(
                    tenant=tenant,
                    action="alias.delete",
                    target=f"{task}@{name}",
                    task=task,
                    before=before,
                )
            )

    def rollback(self, tenant: str, task: str, alias: str) -> Alias:
        for _ in range(_TRIES):
            # a long history is read before the one lock of all writers is taken, and still holds
            # where nobody moved the alias meanwhile
            current, target, following = self._before(tenant, task, alias)
            with self._index.writing(tenant, task):
                version = self._index.find_version(tenant, task, target)
                is_current = self._index.next_sequence(tenant, task, alias) == following
                if is_current and version is not None:
                    return self._move_recorded(version, alias, current, "rollback")
        with self._index.writing(tenant, task):
            current, target, _ = self._before(tenant, task, alias)
            version = self.version(tenant, task, target)
            return self._move_recorded(version, alias, current, "rollback")

    def move(
        self, version: Version, name: str, current: Alias | None, action: str, reason: str = ""
    ) -> Alias:
        """Inside a transaction: point the alias at the version.

        Where it already points, nothing happens.
        """
        if current is not None and current.version == version.number:
            return current
        now = self._clock()
        alias = Alias(
            tenant=version.tenant,
            task=version.task,
            name=name,
            version=version.number,
            digest=version.digest,
            moved_at=now,
        )
        self._index.put_alias(alias)
        self._index.add_event(self._event(alias, current, action, reason))
        return alias

    def _move_recorded(
        self, version: Version, name: str, current: Alias | None, action: str, reason: str = ""
    ) -> Alias:
        """As `move`, with a row of the audit log where the alias moved."""
        alias = self.move(version, name, current, action, reason)
        if alias is not current:
            before = {"version": current.version, "digest": current.digest} if current else None
            self._audit.record(
                Change(
                    tenant=version.tenant,
                    action=f"alias.{action}",
                    target=f"{version.task}@{name}",
                    task=version.task,
                    before=before,
                    after=facts_of(version),
                    reason=reason,
                )
            )
        return alias

    def _before(self, tenant: str, task: str, alias: str) -> tuple[Alias, int, int]:
        """The alias, the version it would go back to, and the number of its next event."""
        current = self.find(tenant, task, alias)
        events = self._index.list_events(tenant, task, alias)
        alive = [version.number for version in self._index.list_versions(tenant, task)]
        target = previous_version(events, alive)
        if target is None:
            raise NothingToRollBack(
                f"{task}@{alias} has no version before {current.version}", task=task
            )
        return current, target, events[-1].sequence + 1

    def find(self, tenant: str, task: str, alias: str) -> Alias:
        record = self._index.find_alias(tenant, task, alias)
        if record is None:
            raise self.unknown(tenant, task, alias)
        return record

    def unknown(self, tenant: str, task: str, alias: str) -> NotFound:
        if not self._index.has_task(tenant, task):
            return UnknownTask(f"there is no task {task}", task=task)
        hint = "; promote a version, or name one" if alias == PRODUCTION else ""
        return UnknownAlias(f"task {task} has no alias {alias}{hint}", task=task, alias=alias)

    def _event(self, alias: Alias, current: Alias | None, action: str, reason: str) -> AliasEvent:
        return AliasEvent(
            tenant=alias.tenant,
            task=alias.task,
            alias=alias.name,
            sequence=self._index.next_sequence(alias.tenant, alias.task, alias.name),
            action=action,
            previous=None if current is None else current.version,
            version=alias.version,
            at=alias.moved_at,
            reason=reason,
        )

    def version(self, tenant: str, task: str, number: int) -> Version:
        # No version has a larger number, and databases fail on integers they cannot hold.
        version = self._index.find_version(tenant, task, number) if number <= MAX_NUMBER else None
        if version is not None:
            return version
        if not self._index.has_task(tenant, task):
            raise UnknownTask(f"there is no task {task}", task=task)
        raise UnknownVersion(f"task {task} has no version {number}", task=task, version=number)


def facts_of(version: Version) -> dict[str, Any]:
    """Which version, and the verdict of its report where it has one."""
    facts: dict[str, Any] = {"version": version.number, "digest": version.digest}
    report = version.lineage.get("report")
    verdict = report.get("verdict") if isinstance(report, dict) else None
    if isinstance(verdict, dict):
        facts["verdict"] = verdict.get("decision")
    return facts


def previous_version(events: Iterable[AliasEvent], alive: Iterable[int]) -> int | None:
    """Where a rollback goes: the version named before the current one, deleted ones skipped.

    The history is replayed as a stack, so that two rollbacks go back two moves and do not flip
    between two versions.
    """
    stack: list[int] = []
    for event in events:
        if event.action == "delete":
            stack.clear()  # a new alias of the same name begins anew
        elif event.action == "rollback":
            while stack and stack[-1] != event.version:
                stack.pop()
        else:
            stack.append(event.version)
    if not stack:
        return None
    usable, current = set(alive), stack[-1]
    return next(
        (number for number in reversed(stack) if number != current and number in usable), None
    )


def _check_expected(task: str, alias: str, current: Alias | None, expected: int | None) -> None:
    """`expected` names the version the caller believes is current; 0 means that the alias should
    not exist yet.
    """
    actual = 0 if current is None else current.version
    if expected is not None and expected != actual:
        names = f"version {actual}" if actual else "nothing"
        raise AliasMoved(
            f"{task}@{alias} names {names}, not version {expected} as expected",
            task=task,
            alias=alias,
            expected=expected,
            actual=actual or None,
        )
