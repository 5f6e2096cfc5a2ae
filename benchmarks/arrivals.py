"""Generation under Poisson arrivals: the highest request rate with first tokens in time.

Prompts and completions have 8 to 128 tokens each. A rate is sustained when 99 of 100 requests get
their first token within two seconds. Static batching starts a batch of all waiting requests, at
most 32, whenever it is idle; its first token counts when it is sampled, not when `generate`
returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from benchmarks import generation_peers as peers
from benchmarks.generation_engine import GenerationEngine, Request
from benchmarks.measure import table

LATE_S = 2.0
MAX_ROWS = 32
#: requests per second
FIRST_RATE = 0.25
#: ratio of consecutive rates
STEP = 1.25
#: serves the arrivals; returns every request's seconds to its first token
Serve = Callable[[list["Arrival"]], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request and the time of its arrival."""

    at_s: float
    request: Request


def draw_arrivals(rate: float, seconds: float, num_slots: int, seed: int = 0) -> list[Arrival]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, int(rate * seconds) + 1))
    return [
        Arrival(
            at_s=float(at),
            request=Request(
                ids=rng.integers(1000, 40000, int(rng.integers(8, 129))).tolist(),
                slot=int(rng.integers(num_slots + 1)) if num_slots else 0,
                num_tokens=int(rng.integers(8, 129)),
            ),
        )
        for at in times
    ]


def measure_arrivals(base: Path, adapters: list[Path], dtype: str, seconds: float) -> str:
    ours = GenerationEngine(base, adapters, dtype)
    model = peers.load_stock(base, getattr(torch, dtype))
    ways: dict[str, tuple[Serve, int]] = {
        "static batching, generate, no adapter": (lambda batch: serve_static(model, batch), 0),
        f"adapterd, {len(adapters)} adapters": (
            lambda batch: serve_continuous(ours, batch), len(adapters)
        ),
    }  # fmt: skip
    rows, sustained = [], {}
    for name, (serve, num_slots) in ways.items():
        for rate, late in _climb(serve, num_slots, seconds):
            rows.append([name, f"{rate:.2f}", f"{late:.2f}", "yes" if late < LATE_S else "no"])
            print("arrivals:", *rows[-1], flush=True)
            sustained[name] = rate if late < LATE_S else sustained.get(name, 0.0)
    low, high = sustained.values()
    factor = f"{high / low:.2f}" if low else f"over {high / FIRST_RATE:.2f}: it sustained none"
    ratio = f"highest sustained rate over static batching's (target 2): {factor}"
    heading = ["method", "requests/s", "p99 to the first token, s", "sustained"]
    return "\n".join(["", table(heading, rows), "", ratio])


def _climb(serve: Serve, num_slots: int, seconds: float) -> Iterator[tuple[float, float]]:
    """Increases the rate until it is not sustained."""
    rate = FIRST_RATE
    while True:
        waits = serve(draw_arrivals(rate, seconds, num_slots))
        yield rate, (late := float(np.percentile(waits, 99)))
        if late >= LATE_S:
            return
        rate *= STEP


def serve_continuous(engine: GenerationEngine, arrivals: list[Arrival]) -> list[float]:
    """Continuous batching: every step runs all present requests, at most MAX_ROWS."""
    engine.written.clear()
    begun: dict[int, Arrival] = {}
    waits: dict[int, float] = {}
    coming, started = list(arrivals), time.perf_counter()
    while coming or engine.running:
        now = time.perf_counter() - started
        free = MAX_ROWS - len(engine.running)
        new = [arrival for arrival in coming[:free] if arrival.at_s <= now]
        if not new and not engine.running:
            time.sleep(coming[0].at_s - now)
            continue
        coming = coming[len(new) :]
        known = set(engine.written)
        engine.step(arrival.request for arrival in new)
        fresh = sorted(set(engine.written) - known)
        begun |= dict(zip(fresh, new, strict=True))
        now = time.perf_counter() - started
        waits |= {
            key: now - begun[key].at_s
            for key in begun
            if key not in waits and engine.written[key]
        }  # fmt: skip
    return list(waits.values())


class _FirstTokenTime(StoppingCriteria):
    """Records the time of the first token and never stops the generation."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        self.at = self.at or time.perf_counter()
        return torch.zeros(len(ids), dtype=torch.bool)


def serve_static(model: object, arrivals: list[Arrival]) -> list[float]:
    """Static batching: the requests that wait when a batch ends form the next one."""
    waits: list[float] = []
    coming, started = list(arrivals), time.perf_counter()
    while coming:
        now = time.perf_counter() - started
        if coming[0].at_s > now:
            time.sleep(coming[0].at_s - now)
            continue
        batch = [arrival for arrival in coming[:MAX_ROWS] if arrival.at_s <= now]
        coming = coming[len(batch) :]
        first = _FirstTokenTime()
        longest = max(arrival.request.num_tokens for arrival in batch)
        prompts = [arrival.request.ids for arrival in batch]
        criteria = StoppingCriteriaList([first])
        peers.generate(model, prompts, longest, stopping_criteria=criteria)()
        waits += [first.at - started - arrival.at_s for arrival in batch]
    return waits
