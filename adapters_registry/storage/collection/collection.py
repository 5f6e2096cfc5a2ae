"""What one collection did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Blobs and their bytes. Nobody knows the tenant of what nothing refers to; `kept_by_tenant`
    is what the rows of each tenant keep.
    """

    #: nothing refers to them, and they stay for the grace
    num_marked: int = 0
    marked_bytes: int = 0
    num_deleted: int = 0
    deleted_bytes: int = 0
    #: objects that no row names, of writers that died
    num_orphans: int = 0
    orphan_bytes: int = 0
    #: why nothing was deleted, if something keeps collection from it
    held_by: str = ""
    kept_by_tenant: dict[str, int] = field(default_factory=dict)
