"""Load test of a running server: concurrent callers with timed calls. Used by `adapterd bench`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from adapterd.client.async_client import AsyncClient
from adapterd.errors import AdapterdError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """Which tasks are called with which texts, by how many callers and for how long."""

    refs: Sequence[str]
    texts: Sequence[str]
    callers: int
    texts_per_call: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """The result of a load test. Latencies are per call, in milliseconds."""

    calls: int
    rows: int
    failed: int
    seconds: float
    latencies_ms: list[float] = field(repr=False)
    errors: dict[str, int]

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The latency percentile for `share` from 0 to 1; NaN if no call was answered."""
        ordered = sorted(self.latencies_ms)
        return (
            ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")
        )


async def run_load(client: AsyncClient, plan: LoadPlan, clock: Callable[[], float]) -> LoadReport:
    """Every caller sends its next call when the last is answered, round robin over refs, texts."""
    call_numbers, latencies, errors = count(), list[float](), dict[str, int]()
    start = clock()

    async def run_caller() -> None:
        while clock() - start < plan.duration_s:
            ref, texts = _next_call(plan, next(call_numbers))
            sent_at = clock()
            try:
                await client.predict(ref, texts)
            except AdapterdError as error:
                errors[error.problem] = errors.get(error.problem, 0) + 1
            else:
                latencies.append((clock() - sent_at) * 1000)

    await asyncio.gather(*(run_caller() for _ in range(plan.callers)))
    return LoadReport(
        calls=len(latencies),
        rows=len(latencies) * plan.texts_per_call,
        failed=sum(errors.values()),
        seconds=clock() - start,
        latencies_ms=latencies,
        errors=errors,
    )


def _next_call(plan: LoadPlan, number: int) -> tuple[str, list[str]]:
    first = number * plan.texts_per_call
    texts = [plan.texts[(first + i) % len(plan.texts)] for i in range(plan.texts_per_call)]
    return plan.refs[number % len(plan.refs)], texts
