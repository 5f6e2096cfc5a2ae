"""Load on a running server: many callers at once, each answer timed. Used by `adapterd bench`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from adapterd.client.async_client import AsyncClient
from adapterd.errors import AdapterdError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """Who calls what, for how long."""

    refs: Sequence[str]
    texts: Sequence[str]
    callers: int
    texts_per_call: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What came of it. Latencies are per call, in milliseconds."""

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
        """The latency that `share` of the calls stayed under; NaN if none was answered."""
        ordered = sorted(self.latencies_ms)
        return (
            ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")
        )


async def run_load(client: AsyncClient, plan: LoadPlan, clock: Callable[[], float]) -> LoadReport:
    """Callers call as fast as they are answered, round robin over refs and texts."""
    numbers, latencies, errors = count(), list[float](), dict[str, int]()
    begin = clock()

    async def call_on() -> None:
        while clock() - begin < plan.duration_s:
            ref, texts = _next_call(plan, next(numbers))
            sent = clock()
            try:
                await client.predict(ref, texts)
            except AdapterdError as error:
                errors[error.problem] = errors.get(error.problem, 0) + 1
            else:
                latencies.append((clock() - sent) * 1000)

    await asyncio.gather(*(call_on() for _ in range(plan.callers)))
    return LoadReport(
        calls=len(latencies),
        rows=len(latencies) * plan.texts_per_call,
        failed=sum(errors.values()),
        seconds=clock() - begin,
        latencies_ms=latencies,
        errors=errors,
    )


def _next_call(plan: LoadPlan, number: int) -> tuple[str, list[str]]:
    first = number * plan.texts_per_call
    texts = [plan.texts[(first + i) % len(plan.texts)] for i in range(plan.texts_per_call)]
    return plan.refs[number % len(plan.refs)], texts
