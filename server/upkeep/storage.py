"""Opens the state that the settings name, and says what refers to its blobs: here, registry and
trainer meet in one database. Knows no transport.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.audit.tables import AUDIT_EVENT
from adapters_registry.index.tables import VERSION_FILE
from adapters_registry.storage import schema
from adapters_registry.storage.backup.backup import Backup
from adapters_registry.storage.backup.place import BackupPlace
from adapters_registry.storage.backup.restore import Restore
from adapters_registry.storage.blob_table import BlobRow
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.collection.references import References
from adapters_registry.storage.repair.storage_check import StorageCheck
from adapters_registry.storage.shared_state import SharedState
from server.config import Settings
from trainer.jobs.schema import REFERENCES as TRAINER_REFERENCES

#: whatever column holds the sha256 of a blob; one that is left out here would lose its bytes
REFERENCES = References([VERSION_FILE.c.sha256, *TRAINER_REFERENCES])


@contextmanager
def attach(
    settings: Settings, *, checks_schema: bool = True, creates: bool = False
) -> Iterator[SharedState]:
    """Beside servers that may be running; with `creates`, what is missing is made. Raises
    StorageError, and WrongSchema unless told not to look.
    """
    state = SharedState.attach(
        settings.data_dir.absolute(),
        database_url=settings.database_url,
        blobs_url=settings.blobs_url,
        cache_bytes=settings.cache_bytes,
        creates=creates,
    )
    try:
        if checks_schema:
            schema.check(state.database.engine)
            record_quarantines(state)
        yield state
    finally:
        state.close()


def record(
    state: SharedState,
    action: str,
    target: str,
    before: Mapping[str, object] | None = None,
    **after: object,
) -> None:
    """What was done to the storage of all tenants, in the chain that is nobody's. An older schema
    may have no log.
    """
    with state.database.read() as db:
        if not sa.inspect(db).has_table(AUDIT_EVENT.name):
            return
    change = Change(tenant="", action=action, target=target, before=before, after=after)
    AuditLog(state.database, state.blobs.clock).record(change)


def record_quarantines(state: SharedState) -> None:
    """In the same chain: rot must not be a line of a log alone."""

    def write(row: BlobRow, actual: str) -> None:
        record(state, "blob.quarantine", row.sha256, object=row.object, actual=actual)

    state.blobs.examination.record_with(write)


def build_collector(state: SharedState) -> Collector:
    return Collector(state.database, state.blobs, REFERENCES)


def build_backup(state: SharedState, place: BackupPlace) -> Backup:
    return Backup(state.database, state.blobs, REFERENCES, place)


def build_restore(state: SharedState, place: BackupPlace) -> Restore:
    return Restore(state.database, state.blobs, place)


def build_check(state: SharedState, backup: BackupPlace | None) -> StorageCheck:
    return StorageCheck(state.database, state.blobs, REFERENCES, build_collector(state), backup)
