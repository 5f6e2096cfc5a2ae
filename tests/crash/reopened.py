"""What must hold of every state that a kill left, whatever was killed: opened as a server that
starts does, everything that is referred to is there, and after a collection nothing else is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from adapters_registry.audit.verification import verify
from adapters_registry.registry import Registry
from adapters_registry.storage import blob_table
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.host_cache import hash_file
from adapters_registry.storage.shared_state import SharedState
from server.upkeep.storage import REFERENCES
from tests.crash.places import Place
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore

#: later than what a dead backup holds collection for
_LATER_S = 7200.0
_MAX_BLOBS = 1000


@contextmanager
def reopened(place: Place) -> Iterator[SharedState]:
    """Between the two checks, a test looks at what it is about."""
    state = place.open(clock=lambda: time.time() + _LATER_S)
    with closing(state):
        sweep_leftovers(state)
        check_reachable(state)
        yield state
        for _ in range(2):
            Collector(state.database, state.blobs, REFERENCES, orphan_age_s=0.0).run(grace_s=0)
        check_tidy(state)


def sweep_leftovers(state: SharedState) -> None:
    """As the first registry and the first file store of a server do."""
    Registry(state)
    FileStore(state.blobs, JobStore(state.database), state.directory / "uploads").sweep()
    for name in ("staging", "uploads", "incoming", "blobs.incoming"):
        folder = state.directory / name
        assert not folder.is_dir() or not list(folder.iterdir()), f"{folder} holds a dead writer's"


def check_reachable(state: SharedState) -> None:
    """The audit log is whole, and so is the content of each reference."""
    verification = verify(state.database)
    assert not verification.faults, verification.faults
    for sha256, size in _list_needed(state).items():
        assert size is not None, f"{sha256} is referred to and nothing says where it is"
        assert hash_file(state.blobs.path(sha256, size)) == sha256


def check_tidy(state: SharedState) -> None:
    """No row of a blob, no object and no copy on this machine is there for nothing."""
    needed = _list_needed(state)
    with state.database.read() as db:
        rows = blob_table.list_page(db, "", _MAX_BLOBS)
    assert {row.sha256 for row in rows} == needed.keys()
    objects = {each.name for each in state.blobs.store.list()}
    assert objects == {row.object for row in rows}
    if state.blobs.cache is not None:
        copies = [path for path in (state.directory / "cache").rglob("*") if path.is_file()]
        assert {path.name for path in copies} <= needed.keys()


def _list_needed(state: SharedState) -> dict[str, int | None]:
    """The size of each content that a row refers to, where a blob has it."""
    with state.database.read() as db:
        needed = REFERENCES.list_from(db, "", _MAX_BLOBS)
        sizes = {row.sha256: row.size for row in blob_table.list_page(db, "", _MAX_BLOBS)}
    return {sha256: sizes.get(sha256) for sha256 in needed}
