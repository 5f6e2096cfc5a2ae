"""Memory of the process over minutes of changing sequences, sampled every half minute."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.generation_engine import GenerationEngine, Request
from benchmarks.measure import table

MAX_ROWS = 24
EVERY_S = 30.0


def soak_report(base: Path, adapters: list[Path], dtype: str, minutes: float) -> str:
    engine = GenerationEngine(base, adapters, dtype)
    rng = np.random.default_rng(0)
    rows: list[list[str]] = []
    started = time.perf_counter()
    num_texts, next_look = 0, EVERY_S
    while (passed := time.perf_counter() - started) < minutes * 60:
        new = _wishes(rng, MAX_ROWS - len(engine.running), len(adapters))
        for key in engine.step(new):
            del engine.written[key]
            num_texts += 1
        if passed >= next_look:
            rows.append([f"{passed:.0f}", f"{num_texts}", f"{_megabytes():.0f}"])
            print("soak:", *rows[-1], flush=True)
            next_look += EVERY_S
    return "\n".join(["", table(["seconds", "generated texts", "resident MB"], rows)])


def _wishes(rng: np.random.Generator, room: int, num_slots: int) -> list[Request]:
    """A few requests at a time, so that arrivals and departures are never synchronized."""
    return [
        Request(
            ids=rng.integers(1000, 40000, int(rng.integers(8, 129))).tolist(),
            slot=int(rng.integers(num_slots + 1)),
            num_tokens=int(rng.integers(8, 129)),
        )
        for _ in range(min(room, int(rng.integers(0, 3))))
    ]


def _megabytes() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20
