"""An estimate, without a GPU: 256 rows of 256 adapters on bert-base, from the number of launches.

`python -m benchmarks.gpu_estimate`. Runs a predict step of a base with the layers and heads of
bert-base but narrow (launches do not depend on the width) on the CPU, with the grouped product that
a device runs, and counts the operators that would launch a kernel. All rows have 20 tokens, so
attention is one operator a layer here too. The costs below are assumptions: no figure that this
prints was measured.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import BertConfig, BertModel

from benchmarks.measure import conditions, table
from benchmarks.mixed_batch import BASE as TOKENIZER_BASE
from benchmarks.mixed_batch import LINEARS
from benchmarks.peers import write_adapters
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.model.source import base_path
from engine.ops.grouped_product import GatheredProduct

NUM_ROWS, NUM_TOKENS, RANK = 256, 20, 8
NUM_LAYERS, NUM_HEADS = 12, 12
#: of bert-base
WIDTH, FEED_FORWARD = 768, 3072
#: of the base that is counted
NARROW = 96
#: assumed of an H100: seconds of a launch by PyTorch's eager mode (from, to) and in a recorded
#: graph, bfloat16 operations a second that matrix products reach, bytes of memory a second
LAUNCH_S = (8e-6, 12e-6)
RECORDED_LAUNCH_S = 1.2e-6
FLOPS = 0.7 * 989e12
BYTES_PER_S = 3.35e12
#: they take memory and start nothing
FACTORIES = {"empty", "empty_like", "empty_strided", "new_empty", "resize_"}


class LaunchCounter(TorchDispatchMode):
    """Counts operators that write memory; views and empty tensors launch nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        inputs = _storages((args, kwargs))
        if name not in FACTORIES and (func._schema.is_mutable or _storages(result) - inputs):
            self.launches[name] += 1
        return result


def main() -> None:
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        base = _write_base(scratch / "base")
        adapters = {
            "query+value": _write_adapter(base, scratch / "qv", ["query", "value"]),
            "all linears": _write_adapter(base, scratch / "all", LINEARS),
        }
        with patch("engine.adapters.slot_pool.choose_product", _choose_device_product):
            config = EngineConfig(base=str(base), dtype="bfloat16", num_slots=NUM_ROWS)
            engine = Engine(config)
        launches = {"no adapter": _count(engine, None)}
        for way, directory in adapters.items():
            launches[f"{NUM_ROWS} adapters, {way}"] = _count(engine, _load(engine, directory))
    print(conditions(), _report(launches), sep="\n\n")


def _choose_device_product(
    _device: torch.device, dtype: torch.dtype
) -> tuple[GatheredProduct, torch.dtype]:
    return GatheredProduct(), dtype


def _write_base(folder: Path) -> Path:
    """Random weights, and the tokenizer of another BERT."""
    source = base_path(TOKENIZER_BASE)
    config = BertConfig(
        vocab_size=30522, hidden_size=NARROW, intermediate_size=4 * NARROW,
        num_hidden_layers=NUM_LAYERS, num_attention_heads=NUM_HEADS,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(source / name, folder / name)
    return folder


def _write_adapter(base: Path, directory: Path, targets: list[str]) -> Path:
    (path,) = write_adapters(str(base), directory, 1, targets, RANK)
    return path


def _load(engine: Engine, directory: Path) -> dict[int, str]:
    """The adapter for every row in a slot of its own; their weights do not change the count."""
    inspected = engine.step(port.Inspect(directory=str(directory)))
    assert isinstance(inspected, port.Inspected), inspected
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    place = {slot: f"{directory}-{slot}" for slot in range(1, NUM_ROWS + 1)}
    for digest in place.values():
        engine.step(port.Load(digest=digest, semantics=inspected.semantics, files=files))
    return place


def _count(engine: Engine, place: Mapping[int, str] | None) -> Counter[str]:
    """Of the second step: the first one places the adapters."""
    rows = [
        port.Row.of(ids=[101, *range(2000, 1998 + NUM_TOKENS), 102], slot=slot, pooling=pooling)
        for slot, pooling in (
            [(slot, None) for slot in place] if place else [(0, "cls")] * NUM_ROWS
        )
    ]
    step = port.Predict(rows=rows, place=dict(place or {}))
    engine.step(step)
    with LaunchCounter() as counter:
        result = engine.step(step)
    assert isinstance(result, port.Predicted), result
    assert all(isinstance(row, port.Array) for row in result.rows), result.rows[0]
    return counter.launches


def _storages(values: Any) -> set[int]:
    """Of tensors that have one; oneDNN's packed weights have none."""
    return {
        leaf.untyped_storage().data_ptr()
        for leaf in tree_leaves(values)
        if isinstance(leaf, Tensor) and leaf.layout == torch.strided
    }


def _report(launches: Mapping[str, Counter[str]]) -> str:
    bare = next(iter(launches.values())).total()
    products_s = _product_flops() / FLOPS
    rows = []
    for way, counts in launches.items():
        eager = " to ".join(f"{1e3 * counts.total() * cost:.1f}" for cost in LAUNCH_S)
        recorded_s = _recorded_s(way, counts.total())
        rows.append([
            way, str(counts.total()), eager, f"{bare / counts.total():.2f}",
            f"{1e3 * recorded_s:.2f}", f"{_recorded_s('', bare) / recorded_s:.2f}",
            f"{recorded_s / products_s:.2f}",
            ", ".join(f"{n} {count}" for n, count in counts.most_common(6)),
        ])  # fmt: skip
    header = ["**estimate**, one step", "launches", "eager, ms", "of no adapter", "recorded, ms"]
    header += ["of no adapter", "x its matrix products", "most frequent operators"]
    return (
        f"An estimate, not a measurement: {NUM_ROWS} rows of {NUM_TOKENS} tokens, bert-base, "
        f"bfloat16.\n\n{table(header, rows)}\n\n"
        f"Assumed: {LAUNCH_S[0] * 1e6:.0f} to {LAUNCH_S[1] * 1e6:.0f} us a launch in eager mode, "
        f"{RECORDED_LAUNCH_S * 1e6:.1f} us in a recorded graph beside the work itself; matrix "
        f"products at {FLOPS / 1e12:.0f} TFLOP/s ({1e3 * products_s:.2f} ms); the adapters' "
        f"weights read once at {BYTES_PER_S / 1e12:.2f} TB/s."
    )


def _recorded_s(way: str, num_launches: int) -> float:
    """The base's products, the adapters' weights, and a gap between any two kernels."""
    bytes_read = _adapter_bytes(way)
    return _product_flops() / FLOPS + bytes_read / BYTES_PER_S + num_launches * RECORDED_LAUNCH_S


def _product_flops() -> float:
    """Of the linears of all layers."""
    weights = NUM_LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * FEED_FORWARD)
    return 2.0 * weights * NUM_ROWS * NUM_TOKENS


def _adapter_bytes(way: str) -> float:
    """bfloat16; `way` names the modules, if any."""
    widths = 2 * 2 * WIDTH if "query" in way else 4 * 2 * WIDTH + 2 * (WIDTH + FEED_FORWARD)
    return 2.0 * NUM_ROWS * NUM_LAYERS * RANK * widths if "adapters" in way else 0.0


if __name__ == "__main__":
    main()
