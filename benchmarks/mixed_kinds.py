"""A packed batch of every adapter kind and head, compared with the same rows with LoRA only.

`python -m benchmarks.mixed_kinds`. MiniLM-L6, 32 rows of 32 different adapters, each at its kind's
default modules in every layer; both batches use the same heads. Prints the ratio of times and the
largest difference between an answer in the mixed batch and the row's answer on its own.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import conditions, interleave, medians, table
from benchmarks.mixed_batch import BASE, NUM_ROWS, make_rows
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine

#: the maximum time of a mixed batch, relative to the same rows with LoRA only
MAX_RATIO = 1.3
LORA: tuple[str, dict[str, Any]] = ("lora", {"rank": 8})
KINDS: list[tuple[str, dict[str, Any]]] = [
    LORA,
    ("lora", {"rank": 8, "dora": True}),
    ("bottleneck", {"variant": "houlsby"}),
    ("bottleneck", {"variant": "pfeiffer"}),
    ("bottleneck", {"variant": "parallel", "reduction": 16}),
    ("ia3", {}),
    ("bias", {}),
    ("head_only", {}),
]
_LABELS = ["O", "B-x", "I-x"]
#: a head's settings, and the label of a row of n tokens for the two training steps
HEADS: list[tuple[dict[str, Any], Callable[[int], Any]]] = [
    ({"kind": "classify", "labels": ["a", "b", "c"], "pooling": "mean"}, lambda n: n % 3),
    ({"kind": "tag", "labels": _LABELS, "pooling": "native"}, lambda n: [i % 3 for i in range(n)]),
    ({"kind": "regress", "pooling": "mean"}, lambda n: n / 20 - 1),
    ({"kind": "span", "pooling": "native"}, lambda n: [1, n - 2]),
    ({"kind": "rerank", "pooling": "mean"}, lambda n: float(n % 2)),
    ({"kind": "embed", "pooling": "mean"}, lambda _: None),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    batches = [make_rows(rng) for _ in range(4)]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for dtype in ("float32", "bfloat16"):
            rows.append(_measure(dtype, batches, Path(scratch) / dtype, args))
    print(conditions())
    print(f"{NUM_ROWS} rows of {NUM_ROWS} adapters per batch, {len(batches)} batches\n")
    print(table(["dtype", "LoRA only, ms", "all kinds, ms", "ratio", "max diff to alone"], rows))
    print(f"\ntarget ratio: at most {MAX_RATIO}; target max diff in float32: at most 1e-05")


def _measure(
    dtype: str, batches: Sequence[list[list[int]]], scratch: Path, args: argparse.Namespace
) -> list[str]:
    engine = Engine(EngineConfig(base=BASE, dtype=dtype, threads=args.threads))
    ways = {
        "lora": _steps(engine, batches, [LORA] * NUM_ROWS, scratch / "lora"),
        "mixed": _steps(
            engine, batches, [KINDS[i % len(KINDS)] for i in range(NUM_ROWS)], scratch / "mixed"
        ),
    }
    seconds = medians(
        interleave({name: _runner(engine, steps) for name, steps in ways.items()}, args.rounds)
    )
    lora_ms, mixed_ms = (seconds[name] / len(batches) * 1e3 for name in ("lora", "mixed"))
    difference = max(_difference(engine, step) for step in ways["mixed"])
    return [
        dtype, f"{lora_ms:.1f}", f"{mixed_ms:.1f}", f"{mixed_ms / lora_ms:.2f}",
        f"{difference:.1e}",
    ]  # fmt: skip


def _steps(
    engine: Engine,
    batches: Sequence[list[list[int]]],
    kinds: Sequence[tuple[str, dict[str, Any]]],
    scratch: Path,
) -> list[port.Predict]:
    place = {}
    for number, (kind, config) in enumerate(kinds):
        # an embedding under no adapter has no weights to move
        num_heads = len(HEADS) - (number % len(KINDS) == len(KINDS) - 1)
        head = HEADS[(number + number // len(KINDS)) % num_heads]
        digest = f"{scratch.name}-{number}"
        _make(engine, digest, kind, config, head, scratch / str(number))
        place[number + 1] = digest
    return [
        port.Predict(
            rows=[port.Row.of(ids=ids, slot=i + 1) for i, ids in enumerate(b)], place=place
        )
        for b in batches
    ]


def _make(
    engine: Engine,
    digest: str,
    kind: str,
    config: dict[str, Any],
    head: tuple[dict[str, Any], Callable[[int], Any]],
    directory: Path,
) -> None:
    """Trains an adapter for two steps and loads it from its files."""
    settings, target = head
    slot = _ask(
        engine,
        port.OpenTraining(
            kind=kind, kind_config=config, head=settings, seed=zlib.crc32(digest.encode())
        ),
    ).slot
    ids = [[101, *range(2000, 2000 + n), 102] for n in (5, 9, 14, 17)]
    rows = [port.Row.of(ids=each, slot=slot) for each in ids]
    targets = [target(len(each)) for each in ids]
    for number in range(2):
        step = port.Train(
            slot=slot,
            rows=rows,
            keys=[0, 1, 2, 3],
            targets=targets,
            learning_rate=1e-2,
            step=number,
        )
        _ask(engine, step)
    directory.mkdir(parents=True)
    saved = _ask(engine, port.Save(slot=slot, directory=str(directory)))
    _ask(engine, port.CloseTraining(slot=slot))
    files = [port.File(role=r, path=str(directory / n)) for r, n in saved.files.items()]
    _ask(engine, port.Load(digest=digest, semantics=saved.semantics, files=files))


def _runner(engine: Engine, steps: Sequence[port.Predict]) -> Callable[[], None]:
    def run() -> None:
        for step in steps:
            _ask(engine, step)

    return run


def _difference(engine: Engine, step: port.Predict) -> float:
    together = _ask(engine, step).rows
    alone = [
        _ask(engine, port.Predict(rows=[row], place={row.slot: step.place[row.slot]})).rows[0]
        for row in step.rows
    ]
    pairs = zip(together, alone, strict=True)
    return max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in pairs)


def _ask(engine: Engine, step: port.Step) -> Any:
    result = engine.step(step)
    assert not isinstance(result, port.Failure), result
    return result


if __name__ == "__main__":
    main()
