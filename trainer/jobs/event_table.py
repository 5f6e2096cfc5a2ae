"""All SQL about the events of jobs. Knows no state of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trainer.jobs.database import JobDatabase
from trainer.jobs.events import LEVELS, Event
from trainer.jobs.schema import EVENTS

_FIELDS = ("code", "message", "created_at", "level", "data", "number")


class EventTable:
    """Events are only ever added, each with its job's next number."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    def list(
        self,
        tenant: str,
        job_id: str,
        *,
        after: int | None = None,
        limit: int,
        newest_first: bool = False,
        codes: Sequence[str] = (),
    ) -> list[Event]:
        """`after` is the last number of the previous page, in the requested order."""
        number = EVENTS.c.number
        query = EVENTS.select().where(_of(tenant, job_id)).limit(limit)
        query = query.order_by(number.desc() if newest_first else number)
        if after is not None:
            query = query.where(number < after if newest_first else number > after)
        if codes:
            query = query.where(EVENTS.c.code.in_(codes))
        with self._database.read() as db:
            return [_event_of(row) for row in db.execute(query)]


def add_events(db: sa.Connection, tenant: str, job_id: str, events: Sequence[Event]) -> None:
    """Within the transaction that changes the job, so that no event reports a change that was
    rolled back; it holds the job's row, so that no two events get the same number.
    """
    if not events:
        return
    last = db.execute(sa.select(sa.func.max(EVENTS.c.number)).where(_of(tenant, job_id))).scalar()
    rows = [
        {name: getattr(event, name) for name in _FIELDS}
        | {"tenant": tenant, "job_id": job_id, "number": number}
        for number, event in enumerate(events, (last or 0) + 1)
    ]
    db.execute(EVENTS.insert(), rows)


def count_since(db: sa.Connection, tenant: str, job_id: str, code: str, since: str) -> int:
    """How many of a job's events of one code came after its last of another."""
    own, number = _of(tenant, job_id), EVENTS.c.number
    last = sa.select(sa.func.coalesce(sa.func.max(number), 0)).where(own, EVENTS.c.code == since)
    later = sa.select(sa.func.count()).where(
        own, EVENTS.c.code == code, number > last.scalar_subquery()
    )
    return db.execute(later).scalar_one()


def _of(tenant: str, job_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(EVENTS.c.tenant == tenant, EVENTS.c.job_id == job_id)


def _event_of(row: sa.Row[Any]) -> Event:
    """Of a level that only another release knows, the first of this release."""
    values = {name: getattr(row, name) for name in _FIELDS}
    level = row.level if row.level in LEVELS else LEVELS[0]
    return Event(**{**values, "level": level, "data": row.data or {}})
