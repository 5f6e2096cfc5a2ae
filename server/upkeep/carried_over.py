"""What a restore must not undo in the database that it replaces: keys stay revoked, and erasures
that the backup knows nothing of are told. Knows no bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.audit.tables import AUDIT_EVENT
from adapters_registry.storage.database import Database
from server.auth.key_table import API_KEY

_ERASURES = ("file.erase", "tenant.erase")


class CarriedOver:
    """Filled by the restore that it is passed to, within its transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: ids of keys that the backup has, and that had been revoked since
        self.revoked_keys: list[str] = []
        #: tenant, and what of it was erased since: a tenant's name or the id of a file
        self.erasures: list[tuple[str, str]] = []

    def __call__(self, db: sa.Connection) -> Callable[[sa.Connection], None]:
        revoked, erasures = _read_revoked(db), _read_erasures(db)

        def amend(db: sa.Connection) -> None:
            self.revoked_keys = _revoke_again(db, self._database, revoked)
            known = _read_erasures(db)
            self.erasures = [erasures[each] for each in erasures if each not in known]

        return amend


def _read_revoked(db: sa.Connection) -> dict[str, float]:
    if not sa.inspect(db).has_table(API_KEY.name):
        return {}
    revoked = sa.select(API_KEY.c.id, API_KEY.c.revoked_at).where(API_KEY.c.revoked_at.is_not(None))
    return {row.id: row.revoked_at for row in db.execute(revoked)}


def _read_erasures(db: sa.Connection) -> dict[str, tuple[str, str]]:
    """By the hash of their row of the log, which no other has."""
    if not sa.inspect(db).has_table(AUDIT_EVENT.name):
        return {}
    table = AUDIT_EVENT.c
    erasures = sa.select(AUDIT_EVENT).where(table.action.in_(_ERASURES)).order_by(table.at)
    return {row.hash: (row.tenant, row.target) for row in db.execute(erasures)}


def _revoke_again(db: sa.Connection, database: Database, revoked: dict[str, float]) -> list[str]:
    alive = sa.select(API_KEY).where(API_KEY.c.revoked_at.is_(None)).order_by(API_KEY.c.id)
    again = [row for row in db.execute(alive).all() if row.id in revoked]
    for row in again:
        mine = sa.update(API_KEY).where(API_KEY.c.id == row.id)
        db.execute(mine.values(revoked_at=revoked[row.id]))
        AuditLog(database).record(
            Change(
                tenant=row.tenant,
                action="key.revoke",
                target=f"key {row.id}",
                before={"role": row.role, "expires_at": row.expires_at},
                reason="it was revoked in the database that a restore replaced",
            )
        )
    return [row.id for row in again]
