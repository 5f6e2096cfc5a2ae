"""Random bytes that all servers of a database share: whoever comes first draws them."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.storage.database import Database

METADATA = sa.MetaData()
SERVER_SECRET = sa.Table(
    "server_secret",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("secret", sa.String(64), nullable=False),
)
NUM_BYTES = 32


def shared_secret(database: Database, name: str) -> bytes:
    """The same for everybody who asks for the name. Raises StorageError."""
    known = sa.select(SERVER_SECRET.c.secret).where(SERVER_SECRET.c.name == name)
    with database.read() as db:
        secret = db.execute(known).scalar_one_or_none()
    if secret is None:
        with database.write(f"secret {name}") as db:
            secret = db.execute(known).scalar_one_or_none()
            if secret is None:
                secret = secrets.token_hex(NUM_BYTES)
                db.execute(sa.insert(SERVER_SECRET).values(name=name, secret=secret))
    return bytes.fromhex(secret)


def rotate_secret(database: Database, name: str) -> None:
    """Another one from now on, for those who ask. Whoever asked before keeps the old one until it
    starts again. Raises StorageError.
    """
    secret = secrets.token_hex(NUM_BYTES)
    with database.write(f"secret {name}") as db:
        db.execute(sa.delete(SERVER_SECRET).where(SERVER_SECRET.c.name == name))
        db.execute(sa.insert(SERVER_SECRET).values(name=name, secret=secret))
        change = Change(tenant="", action="secret.rotate", target=name)
        AuditLog(database).record(change)
