"""The index over SQL: every statement of the package, SQLAlchemy Core, synchronous.

Holds no rule of the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Select,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from adapters_registry.index import rows
from adapters_registry.index.database import Database
from adapters_registry.index.tables import (
    ALIAS,
    ALIAS_EVENT,
    ALIAS_REASON,
    PUBLICATION,
    TASK,
    TASK_CHANGE,
    VERSION,
    VERSION_FILE,
)
from adapters_registry.values import Alias, AliasEvent, Changes, Task, Version

#: of more, a cache forgets everything sooner than it reads them
_MAX_CHANGES = 500
_MAX_PARAMETERS = 500  # per statement: below every database's limit


class SqlIndex:
    """The port `Index` over a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def writing(self) -> AbstractContextManager[None]:
        return self._database.writing()

    def generation(self) -> int:
        return self._database.generation()

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------ reads

    def find_task(self, tenant: str, name: str) -> Task | None:
        tasks = self._tasks(_tasks(tenant).where(TASK.c.name == name), tenant)
        return tasks[0] if tasks else None

    def list_tasks(self, tenant: str, after: str, limit: int) -> Sequence[Task]:
        page = _tasks(tenant).where(TASK.c.name > after).order_by(TASK.c.name).limit(limit)
        return self._tasks(page, tenant)

    def find_version(self, tenant: str, task: str, number: int) -> Version | None:
        return self._version(_of(VERSION, tenant, task) & (VERSION.c.number == number))

    def find_digest(self, tenant: str, task: str, digest: str) -> Version | None:
        return self._version(_of(VERSION, tenant, task) & (VERSION.c.digest == digest))

    def list_versions(self, tenant: str, task: str) -> Sequence[Version]:
        query = select(VERSION).where(_of(VERSION, tenant, task)).order_by(VERSION.c.number)
        return [rows.version(row) for row in self._all(query)]

    def list_lineages(self, tenant: str, text: str) -> Sequence[Version]:
        mine = (VERSION.c.tenant == tenant) & VERSION.c.lineage.contains(text, autoescape=True)
        query = select(VERSION).where(mine).order_by(VERSION.c.task, VERSION.c.number)
        return [rows.version(row) for row in self._all(query)]

    def find_alias(self, tenant: str, task: str, name: str) -> Alias | None:
        matches = self._all(_aliases(tenant).where(ALIAS.c.task == task, ALIAS.c.name == name))
        return rows.alias(matches[0]) if matches else None

    def find_aliased(self, tenant: str, task: str, alias: str) -> Version | None:
        named = _of(ALIAS, tenant, task) & (ALIAS.c.name == alias)
        return self._one_version(select(VERSION).join(ALIAS, _names_version()).where(named))

    def list_aliases(self, tenant: str, task: str) -> Sequence[Alias]:
        query = _aliases(tenant).where(ALIAS.c.task == task).order_by(ALIAS.c.name)
        return [rows.alias(row) for row in self._all(query)]

    def list_events(self, tenant: str, task: str, alias: str) -> Sequence[AliasEvent]:
        mine = _of(ALIAS_EVENT, tenant, task) & (ALIAS_EVENT.c.alias == alias)
        events = ALIAS_EVENT.outerjoin(ALIAS_REASON, _same_event())
        query = select(ALIAS_EVENT, ALIAS_REASON.c.reason).select_from(events).where(mine)
        query = query.order_by(ALIAS_EVENT.c.sequence)
        return [rows.alias_event(row) for row in self._all(query)]

    def next_sequence(self, tenant: str, task: str, alias: str) -> int:
        mine = _of(ALIAS_EVENT, tenant, task) & (ALIAS_EVENT.c.alias == alias)
        [[last]] = self._all(select(func.max(ALIAS_EVENT.c.sequence)).where(mine))
        return (last or 0) + 1

    def changes_since(self, sequence: int | None) -> Changes:
        if sequence is None:
            return self._uncounted_changes()
        after = select(TASK_CHANGE).where(TASK_CHANGE.c.sequence > sequence)
        after = after.order_by(TASK_CHANGE.c.sequence).limit(_MAX_CHANGES + 1)
        changed = self._all(after)
        if len(changed) > _MAX_CHANGES:
            return self._uncounted_changes()
        return Changes(
            sequence=changed[-1].sequence if changed else sequence,
            tasks=[(row.tenant, row.task) for row in changed],
        )

    def _uncounted_changes(self) -> Changes:
        newest = func.coalesce(func.max(TASK_CHANGE.c.sequence), 0)
        return Changes(sequence=self._all(select(newest))[0][0], tasks=None)

    def is_published(self, digest: str) -> bool:
        return bool(self._all(select(VERSION.c.number).where(VERSION.c.digest == digest).limit(1)))

    def find_fence(self, tenant: str, fence: str) -> tuple[str, int] | None:
        mine = (PUBLICATION.c.tenant == tenant) & (PUBLICATION.c.fence == fence)
        matches = self._all(select(PUBLICATION.c.task, PUBLICATION.c.number).where(mine))
        return (matches[0].task, matches[0].number) if matches else None

    def list_contents(self, tenant: str, task: str, number: int | None) -> list[tuple[str, str]]:
        query = select(VERSION_FILE.c.role, VERSION_FILE.c.sha256)
        query = query.where(_of(VERSION_FILE, tenant, task))
        if number is not None:
            query = query.where(VERSION_FILE.c.number == number)
        return [(row.role, row.sha256) for row in self._all(query)]

    def list_referenced(self, sha256s: Iterable[str]) -> set[str]:
        digests, referenced = list(sha256s), set[str]()
        for start in range(0, len(digests), _MAX_PARAMETERS):
            some = VERSION_FILE.c.sha256.in_(digests[start : start + _MAX_PARAMETERS])
            query = select(VERSION_FILE.c.sha256).where(some)
            referenced |= {row.sha256 for row in self._all(query)}
        return referenced

    # ------------------------------------------------------------ writes

    def next_number(self, tenant: str, task: str, now: float) -> int:
        mine = (TASK.c.tenant == tenant) & (TASK.c.name == task)
        matches = self._all(select(TASK.c.next_number, TASK.c.deleted).where(mine))
        if not matches:
            self._insert(
                TASK, tenant=tenant, name=task, next_number=2, created_at=now, deleted=False
            )
            return 1
        number: int = matches[0].next_number
        revived = {"created_at": now, "deleted": False} if matches[0].deleted else {}
        self._run(update(TASK).where(mine).values(next_number=number + 1, **revived))
        return number

    def add_version(self, version: Version, beside: Mapping[str, str]) -> None:
        self._insert(VERSION, **rows.version_row(version))
        files = {file.role: file.sha256 for file in version.manifest.files}
        for role, sha256 in {**files, **beside}.items():
            self._insert(
                VERSION_FILE,
                tenant=version.tenant,
                task=version.task,
                number=version.number,
                role=role,
                sha256=sha256,
            )

    def add_fence(self, tenant: str, fence: str, task: str, number: int) -> None:
        self._insert(PUBLICATION, tenant=tenant, fence=fence, task=task, number=number)

    def put_alias(self, alias: Alias) -> None:
        self.remove_alias(alias)
        self._insert(ALIAS, **rows.alias_row(alias))

    def remove_alias(self, alias: Alias) -> None:
        mine = _of(ALIAS, alias.tenant, alias.task) & (ALIAS.c.name == alias.name)
        self._run(delete(ALIAS).where(mine))

    def add_event(self, event: AliasEvent) -> None:
        self._insert(ALIAS_EVENT, **rows.alias_event_row(event))
        if event.reason:
            self._insert(
                ALIAS_REASON,
                tenant=event.tenant,
                task=event.task,
                alias=event.alias,
                sequence=event.sequence,
                reason=event.reason,
            )

    def remove_version(self, tenant: str, task: str, number: int) -> None:
        self._run(delete(VERSION).where(_of(VERSION, tenant, task), VERSION.c.number == number))

    def remove_task(self, tenant: str, name: str) -> None:
        for table in (ALIAS_REASON, ALIAS_EVENT, ALIAS, VERSION):
            self._run(delete(table).where(_of(table, tenant, name)))
        mine = (TASK.c.tenant == tenant) & (TASK.c.name == name)
        self._run(update(TASK).where(mine).values(deleted=True))

    # ------------------------------------------------------------ inside

    def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._database.reading() as connection:
            return connection.execute(query).all()

    def _run(self, statement: Executable) -> None:
        with self._database.writing(), self._database.reading() as connection:
            connection.execute(statement)

    def _insert(self, table: Table, **values: object) -> None:
        self._run(insert(table).values(**values))

    def _version(self, where: ColumnElement[bool]) -> Version | None:
        return self._one_version(select(VERSION).where(where))

    def _one_version(self, query: Select[Any]) -> Version | None:
        matches = self._all(query)
        return rows.version(matches[0]) if matches else None

    def _tasks(self, query: Select[Any], tenant: str) -> list[Task]:
        """Two statements for any number of tasks, in one snapshot."""
        with self._database.reading() as connection:
            tasks = connection.execute(query).all()
            names = [row.task for row in tasks]
            aliases = connection.execute(
                _aliases(tenant).where(ALIAS.c.task.in_(names)).order_by(ALIAS.c.task, ALIAS.c.name)
            ).all()
        by_task = {
            task: tuple(rows.alias(row) for row in group)
            for task, group in groupby(aliases, key=lambda row: row.task)
        }
        return [rows.task(row, by_task.get(row.task, ())) for row in tasks]


def _same_event() -> ColumnElement[bool]:
    names = ("tenant", "task", "alias", "sequence")
    return and_(*(ALIAS_EVENT.c[name] == ALIAS_REASON.c[name] for name in names))


def _of(table: Table, tenant: str, task: str) -> ColumnElement[bool]:
    return and_(table.c.tenant == tenant, table.c.task == task)


def _aliases(tenant: str) -> Select[Any]:
    query = select(ALIAS, VERSION.c.digest).join(VERSION, _names_version())
    return query.where(ALIAS.c.tenant == tenant)


def _names_version() -> ColumnElement[bool]:
    return and_(
        VERSION.c.tenant == ALIAS.c.tenant,
        VERSION.c.task == ALIAS.c.task,
        VERSION.c.number == ALIAS.c.version,
    )


def _tasks(tenant: str) -> Select[Any]:
    """Live tasks, each row with its newest version."""
    other = VERSION.alias()
    newest = (
        select(func.max(other.c.number))
        .where(other.c.tenant == TASK.c.tenant, other.c.task == TASK.c.name)
        .correlate(TASK)
        .scalar_subquery()
    )
    its_newest = and_(
        VERSION.c.tenant == TASK.c.tenant, VERSION.c.task == TASK.c.name, VERSION.c.number == newest
    )
    return (
        select(VERSION, TASK.c.created_at.label("task_created_at"))
        .select_from(TASK)
        .join(VERSION, its_newest)
        .where(TASK.c.tenant == tenant, TASK.c.deleted.is_(False))
    )
