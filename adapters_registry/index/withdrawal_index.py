"""The statements about what was deleted. Holds no rule of the registry."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import and_, func, select

from adapters_registry.index.tables import TASK, TASK_CHANGE, VERSION
from adapters_registry.storage.blob_table import chunks
from adapters_registry.storage.database import Database


class WithdrawalIndex:
    """Over the database of a server, or of several."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest_change(self) -> int:
        newest = select(func.coalesce(func.max(TASK_CHANGE.c.sequence), 0))
        with self._database.read() as db:
            return int(db.execute(newest).scalar_one())

    def list_published(self, digests: Iterable[str]) -> set[str]:
        """Those of which any tenant has a version."""
        published = set[str]()
        with self._database.read() as db:
            for some in chunks(list(digests)):
                query = select(VERSION.c.digest).where(VERSION.c.digest.in_(some))
                published |= set(db.execute(query).scalars())
        return published

    def list_deleted_tasks(self, tenant: str, tasks: Iterable[str]) -> set[str]:
        """Those of them that were deleted and not made anew."""
        deleted = set[str]()
        is_deleted = and_(TASK.c.tenant == tenant, TASK.c.deleted.is_(True))
        with self._database.read() as db:
            for some in chunks(list(tasks)):
                query = select(TASK.c.name).where(is_deleted, TASK.c.name.in_(some))
                deleted |= set(db.execute(query).scalars())
        return deleted
