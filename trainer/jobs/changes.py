"""Whether anything about jobs changed, in any process: polled several times a second for all
watchers. Knows no watcher.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from trainer.jobs.database import JobDatabase
from trainer.jobs.schema import EVENTS, JOBS

#: ids in one statement; databases limit the number of parameters
_CHUNK = 500

#: announced to other servers when a job was queued, for workers that have nothing to do
JOBS_CHANGED = "adapterd_jobs"

#: a job's revision and the number of its last event; one of them grows with every change
Stamp = tuple[int, int]


class JobChanges:
    """Over the database of jobs. Safe to use from several threads."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    def stamps(self, job_ids: Collection[str]) -> dict[str, Stamp]:
        """By job id; ids of unknown jobs are left out."""
        ids = list(job_ids)
        stamps: dict[str, Stamp] = {}
        with self._database.read() as db:
            for start in range(0, len(ids), _CHUNK):
                for row in db.execute(_stamps_of(ids[start : start + _CHUNK])):
                    stamps[row.id] = (row.revision, row.last)
        return stamps


def _stamps_of(ids: Collection[str]) -> sa.Select[tuple[str, int, int]]:
    last = (
        sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.number), 0))
        .where(EVENTS.c.tenant == JOBS.c.tenant, EVENTS.c.job_id == JOBS.c.id)
        .correlate(JOBS)
        .scalar_subquery()
        .label("last")
    )
    return sa.select(JOBS.c.id, JOBS.c.revision, last).where(JOBS.c.id.in_(ids))
