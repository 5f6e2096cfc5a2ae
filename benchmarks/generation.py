"""Generation with many adapters at once, compared with transformers and PEFT.

`python -m benchmarks.generation` runs `throughput` (16 and 32 rows that start together) and
`arrivals` (Poisson arrivals: the highest rate with first tokens in time). Only if named, it runs
`soak` (ten minutes of changing requests: does memory grow?).
SmolLM2-135M, LoRA rank 8 on q_proj and v_proj of every layer, a different adapter for each row.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks import generation_peers as peers
from benchmarks.arrivals import measure_arrivals
from benchmarks.generation_engine import GenerationEngine, Request
from benchmarks.measure import conditions, interleave, medians, table
from benchmarks.soak import soak_report

NUM_TOKENS = 32
PARTS = ("throughput", "arrivals")
#: the ratio of tokens per second of (left) to (right), and its target
TARGETS = (
    ("mixed adapters over no adapter", "adapterd, {n} adapters", "adapterd, no adapter", 0.88),
    ("no adapter over generate", "adapterd, no adapter", "generate, static batch", 1.0),
    ("no adapter over generate_batch", "adapterd, no adapter", "generate_batch, tuned", 2.5),
    ("mixed adapters over PEFT", "adapterd, {n} adapters", "PEFT generate, {n} adapters", 2.0),
)


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    """Random prompts of 8 to 64 tokens."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1000, 40000, n).tolist() for n in rng.integers(8, 65, count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, choices=(*PARTS, "soak"))
    parser.add_argument("--rows", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--seconds", type=float, default=45, help="of arrivals, at each rate")
    parser.add_argument("--minutes", type=float, default=10, help="of the soak")
    parser.add_argument("--only", nargs="*", help="run these ways alone (substrings)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        base = peers.unpack_base(Path(scratch) / "base")
        adapters = peers.write_adapters(base, Path(scratch) / "adapters", max(args.rows))
        print(conditions("peft"), args.dtype, flush=True)
        if "throughput" in args.parts:
            for rows in args.rows:
                print(throughput(base, adapters[:rows], args), flush=True)
        if "arrivals" in args.parts:
            print(measure_arrivals(base, adapters[:16], args.dtype, args.seconds), flush=True)
        if "soak" in args.parts:
            print(soak_report(base, adapters[:16], args.dtype, args.minutes), flush=True)


def throughput(base: Path, adapters: list[Path], args: argparse.Namespace) -> str:
    count = len(adapters)
    ways = {
        name: way()
        for name, way in _methods(base, adapters, getattr(torch, args.dtype)).items()
        if not args.only or any(part in name for part in args.only)
    }
    seconds = interleave(ways, args.rounds, warm_up=1)
    speed = {name: count * NUM_TOKENS / s for name, s in medians(seconds).items()}
    stock = speed.get("generate, static batch", float("nan"))
    rows = [
        [name, f"{value:.0f}", f"{value / stock:.2f}"]
        for name, value in sorted(speed.items(), key=lambda item: item[1])
    ]
    heading = [f"{count} rows, {NUM_TOKENS} tokens each", "tokens/s", "x static batch"]
    return "\n".join(["", table(heading, rows), "", *_ratios(seconds, count)])


def _methods(
    base: Path, adapters: list[Path], dtype: torch.dtype
) -> dict[str, Callable[[], Callable[[], object]]]:
    inputs, count = prompts(len(adapters)), len(adapters)
    names = [f"a{number}" for number in range(count)]
    ours = GenerationEngine(base, adapters, str(dtype).removeprefix("torch."))

    def engine_method(mixed: bool) -> Callable[[], object]:
        slots = range(1, count + 1) if mixed else [0] * count
        requests = [
            Request(ids=ids, slot=slot, num_tokens=NUM_TOKENS)
            for ids, slot in zip(inputs, slots, strict=True)
        ]
        return lambda: ours.generate(requests)

    return {
        "generate, static batch": lambda: peers.generate(
            peers.load_stock(base, dtype), inputs, NUM_TOKENS
        ),
        "generate, static batch, static cache": lambda: peers.generate(
            peers.load_stock(base, dtype), inputs, NUM_TOKENS, cache_implementation="static"
        ),
        "generate_batch, defaults": lambda: peers.generate_batch(
            peers.load_stock(base, dtype), inputs, NUM_TOKENS
        ),
        "generate_batch, tuned": lambda: peers.generate_batch(
            peers.load_stock(base, dtype), inputs, NUM_TOKENS,
            num_blocks=64, page_size=32, max_batch_tokens=1024, allow_block_sharing=False,
        ),
        f"PEFT generate, {count} adapters": lambda: peers.generate(
            peers.peft_model(base, adapters, dtype), inputs, NUM_TOKENS, adapter_names=names
        ),
        "adapterd, no adapter": lambda: engine_method(mixed=False),
        f"adapterd, {count} adapters": lambda: engine_method(mixed=True),
    }  # fmt: skip


def _ratios(seconds: dict[str, list[float]], count: int) -> list[str]:
    """Ratios within the same round, so that both sides see the same machine speed."""
    lines = []
    for text, left, right, target in TARGETS:
        over, under = left.format(n=count), right.format(n=count)
        if over in seconds and under in seconds:
            ratio = median(b / a for a, b in zip(seconds[over], seconds[under], strict=True))
            lines.append(f"{count} rows: {text} (target {target}): {ratio:.2f}")
    return lines


if __name__ == "__main__":
    main()
