"""What a registry stores, and taking away what no version names."""

from __future__ import annotations

import sqlalchemy as sa

from adapters_registry.index.tables import VERSION_FILE
from adapters_registry.registry import Registry
from adapters_registry.storage import blob_table
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.collection.references import References


def collect(registry: Registry) -> set[str]:
    """Without a grace; the sha256 of each content that is gone now."""
    state = registry.state
    before = _list_rows(registry)
    Collector(state.database, state.blobs, References([VERSION_FILE.c.sha256])).run(grace_s=0)
    return before - _list_rows(registry)


def _list_rows(registry: Registry) -> set[str]:
    with registry.state.database.read() as db:
        return {row.sha256 for row in blob_table.list_page(db, "", 1000)}


def remove_orphans(registry: Registry) -> set[str]:
    """Objects that no row names, while nobody writes."""
    orphans = list_objects(registry)
    with registry.state.database.read() as db:
        orphans -= blob_table.list_objects(db, orphans)
    for name in orphans:
        registry.state.blobs.store.delete(name)
    return orphans


def list_objects(registry: Registry) -> set[str]:
    return {stored.name for stored in registry.state.blobs.store.list()}


def list_contents(registry: Registry) -> list[str]:
    """The sha256 in the name of each stored object."""
    return sorted(name.rpartition("/")[2].partition(".")[0] for name in list_objects(registry))


def is_tidy(registry: Registry) -> bool:
    """Whether nothing is stored but what versions name, each once."""
    with registry.state.database.read() as db:
        named = set(db.execute(sa.select(VERSION_FILE.c.sha256)).scalars())
    return list_contents(registry) == sorted(named)
