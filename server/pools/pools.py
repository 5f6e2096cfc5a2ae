"""The threads of a server by kind of work, so that no kind waits for another. Chosen in `parts`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from engine.grammar.sandbox import NUM_CHILDREN
from server.pools.work_pool import WorkPool

#: tasks of nobody: the metrics' own look-ups
OPERATOR = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """What is slow has few places and short lines; what is quick has many."""

    #: reads of the registry, of jobs and of files
    lookups: WorkPool
    #: moves, deletions and wishes: each waits for its database's one writer
    writes: WorkPool
    #: long texts to tokens, part by part
    texts: WorkPool
    #: grammars, tried in a child for each place
    grammars: WorkPool
    #: uploads, registrations and exports: as slow as the caller's line
    transfers: WorkPool
    #: checks of files, and whatever else reads a stranger's bytes in a child
    checks: WorkPool

    @classmethod
    def create(cls, *, checks: int) -> Pools:
        """`checks` children at a time."""
        return cls(
            lookups=WorkPool("look-ups", places=8, share=6, max_waiting=1000),
            writes=WorkPool("writes", places=4, share=2, max_waiting=200),
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
