"""Rows that come one by one: how many a second may come before first tokens are late.

Poisson arrivals, prompts and texts of 8 to 128 tokens each. A rate is held when 99 of 100 rows get
their first token within two seconds. Static batching takes, whenever it is idle, everyone who waits
(32 at most); its first tokens count from when they exist, not from when `generate` returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from benchmarks import writing_peers as peers
from benchmarks.measure import table
from benchmarks.writing_engine import Wish, WritingEngine

LATE_S = 2.0
MAX_ROWS = 32
#: rows a second
FIRST_RATE = 0.25
#: each rate is this much higher than the one before
STEP = 1.25
#: runs one way over arrivals; answers each row's seconds to its first token
Serve = Callable[[list["Arrival"]], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """When a row comes, and what it wants."""

    at_s: float
    wish: Wish


def arrivals(rate: float, seconds: float, num_slots: int, seed: int = 0) -> list[Arrival]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, int(rate * seconds) + 1))
    return [
        Arrival(
            at_s=float(at),
            wish=Wish(
                ids=rng.integers(1000, 40000, int(rng.integers(8, 129))).tolist(),
                slot=int(rng.integers(num_slots + 1)) if num_slots else 0,
                num_tokens=int(rng.integers(8, 129)),
            ),
        )
        for at in times
    ]


def arrivals_report(base: Path, adapters: list[Path], dtype: str, seconds: float) -> str:
    ours = WritingEngine(base, adapters, dtype)
    model = peers.stock(base, getattr(torch, dtype))
    ways: dict[str, tuple[Serve, int]] = {
        "static batching, generate, no adapter": (lambda given: static(model, given), 0),
        f"adapterd, {len(adapters)} adapters": (
            lambda given: continuous(ours, given), len(adapters)
        ),
    }  # fmt: skip
    rows, held = [], {}
    for name, (serve, num_slots) in ways.items():
        for rate, late in _climb(serve, num_slots, seconds):
            rows.append([name, f"{rate:.2f}", f"{late:.2f}", "yes" if late < LATE_S else "no"])
            print("arrivals:", *rows[-1], flush=True)
            held[name] = rate if late < LATE_S else held.get(name, 0.0)
    low, high = held.values()
    said = f"{high / low:.2f}" if low else f"over {high / FIRST_RATE:.2f}: it held none"
    ratio = f"highest rate held over static batching's (want 2): {said}"
    heading = ["way", "rows a second", "p99 to the first token, s", "held"]
    return "\n".join(["", table(heading, rows), "", ratio])


def _climb(serve: Serve, num_slots: int, seconds: float) -> Iterator[tuple[float, float]]:
    """Rates upwards until one is not held."""
    rate = FIRST_RATE
    while True:
        waits = serve(arrivals(rate, seconds, num_slots))
        yield rate, (late := float(np.percentile(waits, 99)))
        if late >= LATE_S:
            return
        rate *= STEP


def continuous(engine: WritingEngine, given: list[Arrival]) -> list[float]:
    """One forward after another over whoever is there; at most MAX_ROWS of them."""
    engine.written.clear()
    begun: dict[int, Arrival] = {}
    waits: dict[int, float] = {}
    coming, started = list(given), time.perf_counter()
    while coming or engine.running:
        now = time.perf_counter() - started
        free = MAX_ROWS - len(engine.running)
        new = [each for each in coming[:free] if each.at_s <= now]
        if not new and not engine.running:
            time.sleep(coming[0].at_s - now)
            continue
        coming = coming[len(new) :]
        known = set(engine.written)
        engine.step(each.wish for each in new)
        fresh = sorted(set(engine.written) - known)
        begun |= dict(zip(fresh, new, strict=True))
        now = time.perf_counter() - started
        waits |= {
            key: now - begun[key].at_s
            for key in begun
            if key not in waits and engine.written[key]
        }  # fmt: skip
    return list(waits.values())


class _First(StoppingCriteria):
    """Notes when the first token exists, and stops nothing."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        self.at = self.at or time.perf_counter()
        return torch.zeros(len(ids), dtype=torch.bool)


def static(model: object, given: list[Arrival]) -> list[float]:
    """Whoever waits when the batch before is done makes the next one."""
    waits: list[float] = []
    coming, started = list(given), time.perf_counter()
    while coming:
        now = time.perf_counter() - started
        if coming[0].at_s > now:
            time.sleep(coming[0].at_s - now)
            continue
        batch = [each for each in coming[:MAX_ROWS] if each.at_s <= now]
        coming = coming[len(batch) :]
        first = _First()
        longest = max(each.wish.num_tokens for each in batch)
        prompts = [each.wish.ids for each in batch]
        criteria = StoppingCriteriaList([first])
        peers.generate(model, prompts, longest, stopping_criteria=criteria)()
        waits += [first.at - started - each.at_s for each in batch]
    return waits
