"""API keys in the database that servers share: created, listed, revoked, each with its row of
the audit log. A revoked key keeps its row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.storage.database import Database
from server.auth.key import Key, make_key
from server.errors import BadKey

METADATA = sa.MetaData()
_BYTES = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

API_KEY = sa.Table(
    "api_key",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", _BYTES, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
    sa.Index("api_key_by_tenant", "tenant"),
)
_KEY = [API_KEY.c[name] for name in Key.__dataclass_fields__]
#: differs after every creation, revocation and removal
Stamp = tuple[Any, ...]


class KeyTable:
    """The keys of all tenants. Safe to use from several threads and processes."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._audit = AuditLog(database, clock)
        self._clock = clock

    def create(self, tenant: str, role: str, expires_at: float | None = None) -> tuple[Key, str]:
        """A new key and its token, which cannot be shown again. Raises BadKey, StorageError."""
        key, token = make_key(tenant, role, self._clock(), expires_at)
        row = {column.name: getattr(key, column.name) for column in _KEY}
        with self._database.write() as db:
            db.execute(sa.insert(API_KEY).values(row))
            self._audit.record(
                Change(
                    tenant=tenant, action="key.create", target=f"key {key.id}", after=_facts(key)
                )
            )
        return key, token

    def list(self) -> Sequence[Key]:
        """Those that were not revoked, oldest first. Raises StorageError."""
        return self._select(API_KEY.c.revoked_at.is_(None))

    def revoke(self, key_id: str) -> Key:
        """Servers refuse it as soon as they look again. Raises BadKey, StorageError."""
        mine = (API_KEY.c.id == key_id) & API_KEY.c.revoked_at.is_(None)
        with self._database.write() as db:
            # first, so that of two who revoke one key only one does
            changed = sa.update(API_KEY).where(mine).values(revoked_at=self._clock())
            if not db.execute(changed).rowcount:
                raise BadKey(f"the database holds no key {key_id[:64]} that is not revoked")
            [key] = self._select(API_KEY.c.id == key_id)
            self._audit.record(
                Change(
                    tenant=key.tenant,
                    action="key.revoke",
                    target=f"key {key.id}",
                    before=_facts(key),
                )
            )
        return key

    def stamp(self) -> Stamp:
        """In one short statement, as it is asked for all the time. Raises StorageError."""
        counts = (sa.func.count(), sa.func.count(API_KEY.c.revoked_at))
        newest = (sa.func.max(API_KEY.c.created_at), sa.func.max(API_KEY.c.revoked_at))
        with self._database.read() as db:
            return tuple(db.execute(sa.select(*counts, *newest).select_from(API_KEY)).one())

    def _select(self, where: sa.ColumnElement[bool]) -> Sequence[Key]:
        query = sa.select(*_KEY).where(where).order_by(API_KEY.c.created_at, API_KEY.c.id)
        with self._database.read() as db:
            return [Key(**row._mapping) for row in db.execute(query)]


def _facts(key: Key) -> dict[str, Any]:
    return {"role": key.role, "expires_at": key.expires_at}
