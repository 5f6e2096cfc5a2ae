"""How long one text takes alone, and how many a second in a batch, on the machine that trained. A
measurement: two of the same version differ, so it is no part of the report that is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np

from engine.heads import is_generation
from trainer.engine_client import EngineSession
from trainer.evaluation.evaluate import predict
from trainer.heads.encoded import EncodedRow

#: of the calls with one text; the batch takes as long again at most
_BUDGET_S = 0.4
_MOST_CALLS = 50
_BATCH_ROWS = 32


class Latency(TypedDict):
    """Of test rows, in the engine: without network and without other callers' batches."""

    #: of calls with one text each
    p50_ms: float
    p95_ms: float
    calls: int
    #: of one batch
    rows_per_s: float
    batch_rows: int


def measure_latency(
    session: EngineSession,
    rows: Sequence[EncodedRow],
    head: dict[str, Any],
    slot: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency | None:
    """Takes less than a second, or as long as two calls. None for heads that generate: how long a
    text takes depends on its length.
    """
    if is_generation(head["kind"]) or not rows:
        return None

    def time_call(chosen: Sequence[EncodedRow]) -> float:
        started = clock()
        predict(session, chosen, head, slot)
        return clock() - started

    time_call(rows[:1])  # the first call of a shape is slower
    spread = rows[:: -(-len(rows) // _MOST_CALLS)]
    seconds: list[float] = []
    for row in spread:
        seconds.append(time_call([row]))
        if sum(seconds) > _BUDGET_S:
            break
    p50, p95 = np.quantile(seconds, [0.5, 0.95]).tolist()
    # a batch is at most as slow as its rows one after the other
    batch = rows[: max(1, min(_BATCH_ROWS, int(_BUDGET_S / max(p50, 1e-6))))]
    taken = time_call(batch)
    return {
        "p50_ms": round(1000 * p50, 2),
        "p95_ms": round(1000 * p95, 2),
        "calls": len(seconds),
        "rows_per_s": round(len(batch) / max(taken, 1e-6), 1),
        "batch_rows": len(batch),
    }
