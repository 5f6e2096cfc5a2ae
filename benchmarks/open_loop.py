"""Calls of one text that arrive at random, however long the ones before take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from adapterd.client.async_client import AsyncClient
from adapterd.errors import AdapterdError


async def run_arrivals(
    client: AsyncClient, task: str, texts: Sequence[str], rate: float, seconds: float, seed: int = 0
) -> list[float]:
    """The milliseconds of each call from the time it was due; infinite for one that failed.

    Calls come at `rate` a second (Poisson).
    """
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    started = time.perf_counter()

    async def call(number: int, at_s: float) -> float:
        await asyncio.sleep(started + at_s - time.perf_counter())
        try:
            await client.predict(task, texts[number % len(texts)])
        except AdapterdError:
            return float("inf")
        return 1000 * (time.perf_counter() - started - at_s)

    return await asyncio.gather(*(call(i, float(at_s)) for i, at_s in enumerate(due)))
