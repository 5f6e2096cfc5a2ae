"""The selections that several statements of the index share. Knows columns, and no rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, select

from adapters_registry.index.tables import ALIAS, TASK, VERSION


def belongs_to(table: Table, tenant: str, task: str) -> ColumnElement[bool]:
    return and_(table.c.tenant == tenant, table.c.task == task)


def select_versions(tenant: str, task: str) -> Select[Any]:
    return select(VERSION).where(belongs_to(VERSION, tenant, task)).order_by(VERSION.c.number)


def select_aliases(tenant: str) -> Select[Any]:
    query = select(ALIAS, VERSION.c.digest).join(VERSION, names_version())
    return query.where(ALIAS.c.tenant == tenant)


def names_version() -> ColumnElement[bool]:
    return and_(
        VERSION.c.tenant == ALIAS.c.tenant,
        VERSION.c.task == ALIAS.c.task,
        VERSION.c.number == ALIAS.c.version,
    )


def select_tasks(tenant: str) -> Select[Any]:
    return select(TASK).where(TASK.c.tenant == tenant, TASK.c.deleted.is_(False))


def select_newest(tenant: str, tasks: Sequence[str]) -> Select[Any]:
    """The newest version of each task."""
    newest = (
        select(VERSION.c.task, func.max(VERSION.c.number).label("number"))
        .where(VERSION.c.tenant == tenant, VERSION.c.task.in_(tasks))
        .group_by(VERSION.c.task)
        .subquery()
    )
    same = and_(VERSION.c.task == newest.c.task, VERSION.c.number == newest.c.number)
    return select(VERSION).join(newest, same).where(VERSION.c.tenant == tenant)
