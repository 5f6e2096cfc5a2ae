"""Dispatch without transports: a batcher and a residency over a held engine and a real registry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine import port
from server.dispatch.batch_scheduler import BatchLimits
from server.dispatch.batcher import Batcher
from server.dispatch.entry import Answer, Entry, RowTokens
from server.dispatch.request_queue import QueueLimits, RequestQueue
from server.dispatch.residency import Residency, ResidentLease
from server.dispatch.slots import SlotTable
from server.dispatch.token_budget import TokenBudget
from server.metrics.metrics import Metrics
from tests.server.build import HeldEngine, publish

BATCH = BatchLimits(max_tokens=1000, max_rows=100, num_slots=4, slot_bytes=2**20)
QUEUE = QueueLimits(max_rows=20, max_tokens=200, slot_bytes=2**20)


@dataclass
class DispatchEnv:
    directory: Path
    engine: HeldEngine = field(default_factory=HeldEngine)
    limits: BatchLimits = BATCH
    ahead_tokens: int = 1
    tokens_per_s: float = 10_000.0
    clock: Callable[[], float] = time.monotonic
    host_bytes: int = 2**20

    def __post_init__(self) -> None:
        self.registry = Registry.open(self.directory)
        self.metrics = Metrics(CollectorRegistry())
        self.residency = Residency(
            port=self.engine,
            files=self.registry.files,
            host_bytes=self.host_bytes,
            observer=self.metrics,
        )
        self.queue = RequestQueue(QUEUE)
        self.slots = SlotTable(self.limits.num_slots, self.limits.slot_bytes)
        self.batcher = Batcher(
            port=self.engine,
            residency=self.residency,
            queue=self.queue,
            slots=self.slots,
            limits=self.limits,
            budget=TokenBudget(self.limits.max_tokens, None, self.tokens_per_s),
            ahead_tokens=self.ahead_tokens,
            observer=self.metrics,
            clock=self.clock,
        )

    def version(self, task: str = "mood", seed: int = 0) -> Version:
        return publish(self.registry, task, seed=seed)

    async def lease(self, task: str = "mood", seed: int = 0) -> ResidentLease:
        return await self.residency.acquire(self.version(task, seed))

    async def call(self, lease: ResidentLease, *rows: list[int], **changes: Any) -> list[Answer]:
        return await self.batcher.run([entry(lease.duplicate(), *(rows or ([1, 2],)), **changes)])

    async def calls(self, *leases: ResidentLease) -> list[asyncio.Task[list[Answer]]]:
        """One call per lease, all of them queued."""
        tasks = [asyncio.create_task(self.call(lease)) for lease in leases]
        await settled()
        return tasks

    def predicts(self) -> list[port.Predict]:
        """The predict steps the engine holds."""
        return [step for _, step in self.engine.held]


def entry(lease: ResidentLease, *rows: list[int], **changes: Any) -> Entry:
    made = Entry(
        rows=[RowTokens(ids, [0] * len(ids)) for ids in rows],
        cost=sum(map(len, rows)),
        tenant="default",
        label="mood",
        priority=0,
        deadline=None,
        enqueued_at=0.0,
        lease=lease,
        future=asyncio.get_running_loop().create_future(),
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


async def settled() -> None:
    """Let everything that is due on the event loop happen."""
    for _ in range(10):
        await asyncio.sleep(0)


def limits(**changes: Any) -> BatchLimits:
    return replace(BATCH, **changes)
