"""The index of tasks, versions and aliases: every statement about them, synchronous.

Holds no rule of the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from adapters_registry.index import queries, rows
from adapters_registry.index.tables import (
    ALIAS,
    ALIAS_EVENT,
    PUBLICATION,
    TASK,
    TASK_CHANGE,
    VERSION,
    VERSION_FILE,
)
from adapters_registry.storage.database import Database
from adapters_registry.values import Alias, AliasEvent, Changes, Task, Version

#: of more, a cache forgets everything sooner than it reads them
_MAX_CHANGES = 500
#: where changes are numbered: transactions that hold it commit in the order of their numbers
_CHANGES = "registry changes"
#: on which other servers hear of a change
TASKS_CHANGED = "adapterd_tasks"


_NEWEST_CHANGE = func.coalesce(func.max(TASK_CHANGE.c.sequence), 0)


class SqlIndex:
    """Over the database of a server, or of several."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def writing(self, tenant: str, task: str) -> AbstractContextManager[Connection]:
        """All of it or nothing, and one writer of a task at a time, across processes; reads within
        see its writes.
        """
        return self._database.write(f"task {tenant}/{task}")

    # ------------------------------------------------------------ reads

    def find_task(self, tenant: str, name: str) -> Task | None:
        """Raises BadManifest or StorageError where none of its versions can be read."""
        page = self._all(queries.select_tasks(tenant).where(TASK.c.name == name))
        if tasks := self._tasks(page, tenant):
            return tasks[0]
        for row in self._all(queries.select_versions(tenant, name)):
            rows.version(row)  # says why
        return None

    def has_task(self, tenant: str, name: str) -> bool:
        """Whether there is one, readable or not."""
        return bool(self._all(queries.select_tasks(tenant).where(TASK.c.name == name)))

    def list_tasks(self, tenant: str, after: str, limit: int) -> Sequence[Task]:
        """Without those of which no version can be read."""
        tasks: list[Task] = []
        while len(tasks) < limit:
            num_rows = limit - len(tasks)
            more = queries.select_tasks(tenant).where(TASK.c.name > after).order_by(TASK.c.name)
            page = self._all(more.limit(num_rows))
            tasks += self._tasks(page, tenant)
            if len(page) < num_rows:
                break
            after = page[-1].name
        return tasks

    def find_version(self, tenant: str, task: str, number: int) -> Version | None:
        return self._version(
            queries.belongs_to(VERSION, tenant, task) & (VERSION.c.number == number)
        )

    def find_digest(self, tenant: str, task: str, digest: str) -> Version | None:
        return self._version(
            queries.belongs_to(VERSION, tenant, task) & (VERSION.c.digest == digest)
        )

    def list_versions(self, tenant: str, task: str) -> Sequence[Version]:
        """Without those that cannot be read."""
        return rows.readable_versions(self._all(queries.select_versions(tenant, task)))

    def list_digests(self, tenant: str, task: str) -> dict[int, str]:
        """Of all its versions, readable or not, by number."""
        query = select(VERSION.c.number, VERSION.c.digest).where(
            queries.belongs_to(VERSION, tenant, task)
        )
        return {row.number: row.digest for row in self._all(query.order_by(VERSION.c.number))}

    def find_alias(self, tenant: str, task: str, name: str) -> Alias | None:
        matches = self._all(
            queries.select_aliases(tenant).where(ALIAS.c.task == task, ALIAS.c.name == name)
        )
        return rows.alias(matches[0]) if matches else None

    def find_aliased(self, tenant: str, task: str, alias: str) -> Version | None:
        named = queries.belongs_to(ALIAS, tenant, task) & (ALIAS.c.name == alias)
        return self._one_version(select(VERSION).join(ALIAS, queries.names_version()).where(named))

    def list_aliases(self, tenant: str, task: str) -> Sequence[Alias]:
        query = queries.select_aliases(tenant).where(ALIAS.c.task == task).order_by(ALIAS.c.name)
        return [rows.alias(row) for row in self._all(query)]

    def list_events(self, tenant: str, task: str, alias: str) -> Sequence[AliasEvent]:
        mine = queries.belongs_to(ALIAS_EVENT, tenant, task) & (ALIAS_EVENT.c.alias == alias)
        query = select(ALIAS_EVENT).where(mine).order_by(ALIAS_EVENT.c.sequence)
        return [rows.alias_event(row) for row in self._all(query)]

    def next_sequence(self, tenant: str, task: str, alias: str) -> int:
        mine = queries.belongs_to(ALIAS_EVENT, tenant, task) & (ALIAS_EVENT.c.alias == alias)
        [[last]] = self._all(select(func.max(ALIAS_EVENT.c.sequence)).where(mine))
        return (last or 0) + 1

    def changes_since(self, sequence: int | None) -> Changes:
        if sequence is None:
            return self._uncounted_changes()
        # where the last one that was seen is gone, the database is an older copy of itself
        since = select(TASK_CHANGE).where(TASK_CHANGE.c.sequence > sequence)
        since = since.order_by(TASK_CHANGE.c.sequence).limit(_MAX_CHANGES + 1)
        with self._database.read() as connection:
            changed = connection.execute(since).all()
            newest = connection.execute(select(_NEWEST_CHANGE)).scalar_one()
        if len(changed) > _MAX_CHANGES or newest < sequence:
            return self._uncounted_changes()
        return Changes(
            sequence=changed[-1].sequence if changed else sequence,
            tasks=[(row.tenant, row.task) for row in changed],
        )

    def _uncounted_changes(self) -> Changes:
        return Changes(sequence=self._all(select(_NEWEST_CHANGE))[0][0], tasks=None)

    def is_published(self, digest: str) -> bool:
        return bool(self._all(select(VERSION.c.number).where(VERSION.c.digest == digest).limit(1)))

    def find_fence(self, tenant: str, fence: str) -> tuple[str, int] | None:
        mine = (PUBLICATION.c.tenant == tenant) & (PUBLICATION.c.fence == fence)
        matches = self._all(select(PUBLICATION.c.task, PUBLICATION.c.number).where(mine))
        return (matches[0].task, matches[0].number) if matches else None

    def list_contents(self, tenant: str, task: str, number: int | None) -> list[tuple[str, str]]:
        query = select(VERSION_FILE.c.role, VERSION_FILE.c.sha256)
        query = query.where(queries.belongs_to(VERSION_FILE, tenant, task))
        if number is not None:
            query = query.where(VERSION_FILE.c.number == number)
        return [(row.role, row.sha256) for row in self._all(query)]

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
        # somebody may remember that there is no such version
        self._record_change(version.tenant, version.task)

    def add_fence(self, tenant: str, fence: str, task: str, number: int) -> None:
        self._insert(PUBLICATION, tenant=tenant, fence=fence, task=task, number=number)

    def put_alias(self, alias: Alias) -> None:
        self._remove_alias(alias)
        self._insert(ALIAS, **rows.alias_row(alias))
        self._record_change(alias.tenant, alias.task)

    def remove_alias(self, alias: Alias) -> None:
        self._remove_alias(alias)
        self._record_change(alias.tenant, alias.task)

    def _remove_alias(self, alias: Alias) -> None:
        mine = queries.belongs_to(ALIAS, alias.tenant, alias.task) & (ALIAS.c.name == alias.name)
        self._run(delete(ALIAS).where(mine))

    def add_event(self, event: AliasEvent) -> None:
        self._insert(ALIAS_EVENT, **rows.alias_event_row(event))

    def remove_version(self, tenant: str, task: str, number: int) -> None:
        self._run(
            delete(VERSION).where(
                queries.belongs_to(VERSION, tenant, task), VERSION.c.number == number
            )
        )
        self._record_change(tenant, task)

    def remove_task(self, tenant: str, name: str) -> None:
        for table in (ALIAS_EVENT, ALIAS, VERSION):
            self._run(delete(table).where(queries.belongs_to(table, tenant, name)))
        mine = (TASK.c.tenant == tenant) & (TASK.c.name == name)
        self._run(update(TASK).where(mine).values(deleted=True))
        self._record_change(tenant, name)

    def _record_change(self, tenant: str, task: str) -> None:
        """Numbered at the end of the transaction, as whoever numbers keeps all others waiting."""
        self._database.before_commit(
            f"change {tenant}/{task}", lambda db: self._number_change(db, tenant, task)
        )
        self._database.announce(TASKS_CHANGED)

    def _number_change(self, db: Connection, tenant: str, task: str) -> None:
        self._database.lock(db, _CHANGES)
        newest = select(func.coalesce(func.max(TASK_CHANGE.c.sequence), 0) + 1).scalar_subquery()
        mine = queries.belongs_to(TASK_CHANGE, tenant, task)
        if not db.execute(update(TASK_CHANGE).where(mine).values(sequence=newest)).rowcount:
            values = {"tenant": tenant, "task": task, "sequence": newest}
            db.execute(insert(TASK_CHANGE).values(values))

    # ------------------------------------------------------------ inside

    def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._database.read() as connection:
            return connection.execute(query).all()

    def _run(self, statement: Executable) -> None:
        with self._database.write() as connection:
            connection.execute(statement)

    def _insert(self, table: Table, **values: object) -> None:
        self._run(insert(table).values(**values))

    def _version(self, where: ColumnElement[bool]) -> Version | None:
        return self._one_version(select(VERSION).where(where))

    def _one_version(self, query: Select[Any]) -> Version | None:
        matches = self._all(query)
        return rows.version(matches[0]) if matches else None

    def _tasks(self, page: Sequence[Row[Any]], tenant: str) -> list[Task]:
        """Two statements for any number of tasks, in one snapshot, and one more for each whose
        newest version cannot be read.
        """
        names = [row.name for row in page]
        with self._database.read() as connection:
            newest = rows.readable_versions(
                connection.execute(queries.select_newest(tenant, names)).all()
            )
            latest = {version.task: version for version in newest}
            for name in set(names) - latest.keys():
                older = rows.readable_versions(
                    connection.execute(queries.select_versions(tenant, name)).all()
                )
                latest |= {version.task: version for version in older[-1:]}
            aliases = connection.execute(
                queries.select_aliases(tenant)
                .where(ALIAS.c.task.in_(names))
                .order_by(ALIAS.c.task, ALIAS.c.name)
            ).all()
        by_task = {
            task: tuple(rows.alias(row) for row in group)
            for task, group in groupby(aliases, key=lambda row: row.task)
        }
        return [
            rows.task(row, latest[row.name], by_task.get(row.name, ()))
            for row in page
            if row.name in latest
        ]
