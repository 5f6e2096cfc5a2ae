"""The thread pools of a server, one per kind of work, so that no kind waits for another."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from adapters_registry.errors import StorageUnavailable
from engine.grammar.sandbox import NUM_CHILDREN
from server.pools.work_pool import WorkPool

#: the tenant of look-ups for metrics and job feeds
OPERATOR = ""
#: how long a call waits for a database that accepted it and is silent: longer than for a lock, or
#: for a machine that is gone, as those have errors of their own
_STORAGE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Slow work has few threads and short queues; fast work has many."""

    #: reads of the registry, of jobs and of files
    lookups: WorkPool
    #: promotions, deletions and job control: each waits for the write lock of its database
    writes: WorkPool
    #: tokenizing long texts, part by part
    texts: WorkPool
    #: checking grammars, in one child process per thread
    grammars: WorkPool
    #: uploads, registrations and exports: as slow as the caller's connection
    transfers: WorkPool
    #: checks of uploaded files, in child processes
    checks: WorkPool

    @classmethod
    def create(cls, *, checks: int) -> Pools:
        """With `checks` child processes for checks at a time."""
        return cls(
            lookups=WorkPool("look-ups", places=8, share=6, max_waiting=1000, **_limits()),
            writes=WorkPool("writes", places=4, share=2, max_waiting=200, **_limits()),
            texts=WorkPool("texts", places=4, share=3, max_waiting=1000),
            grammars=WorkPool("grammars", places=NUM_CHILDREN, share=1, max_waiting=100),
            transfers=WorkPool("transfers", places=8, share=4, max_waiting=32),
            checks=WorkPool(
                "checks", places=checks, share=max(1, checks - 1), max_waiting=4, wait_s=120.0
            ),
        )

    def close(self) -> None:
        for field in fields(self):
            getattr(self, field.name).close()


def _limits() -> dict[str, Any]:
    return {"wait_s": _STORAGE_S, "limit_s": _STORAGE_S, "late": _make_unavailable}


def _make_unavailable() -> StorageUnavailable:
    return StorageUnavailable(
        f"the database or the object store has not answered for {_STORAGE_S:.0f} s; try again "
        "later, and look first whether a change was made, as it may still be"
    )
