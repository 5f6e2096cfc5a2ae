"""Whether anything changed about jobs, whoever changed it: asked several times a second, for all
who watch any. Knows no watcher.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from trainer.jobs.database import Database
from trainer.jobs.schema import EVENTS, JOBS

#: names in one statement; databases take no more than some hundred
_CHUNK = 500

#: a job's revision and the number of its last event: other than before, once something changed
Stamp = tuple[int, int]


class JobChanges:
    """Over the database of jobs. Safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def generation(self) -> int:
        """Another number once anyone, in any process, has written anything."""
        return self._database.generation()

    def stamps(self, job_ids: Collection[str]) -> dict[str, Stamp]:
        """Of those that are there."""
        ids = list(job_ids)
        found: dict[str, Stamp] = {}
        with self._database.read() as db:
            for start in range(0, len(ids), _CHUNK):
                for row in db.execute(_stamps_of(ids[start : start + _CHUNK])):
                    found[row.id] = (row.revision, row.last)
        return found


def _stamps_of(ids: Collection[str]) -> sa.Select[tuple[str, int, int]]:
    last = (
        sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.number), 0))
        .where(EVENTS.c.tenant == JOBS.c.tenant, EVENTS.c.job_id == JOBS.c.id)
        .correlate(JOBS)
        .scalar_subquery()
        .label("last")
    )
    return sa.select(JOBS.c.id, JOBS.c.revision, last).where(JOBS.c.id.in_(ids))
