"""What a forward reads lies on the base's device.

The device here is `meta`, which computes shapes alone and refuses a tensor of another device as a
GPU would, so no GPU is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.adapters.resident import AdapterCache, place
from engine.config import EngineConfig
from engine.forward.forward import acting_adapters, compute_head_logits, make_batch
from engine.model import packed_linears
from engine.model.base import Base
from engine.model.batch import unpack
from engine.ops.grouped_product import GatheredProduct, PlainProduct
from engine.port import Row
from engine.sites.hooks import Sites
from engine.training.full_finetuning import FullFinetuning
from tests.contracts.cases import LABELS, VARIANTS
from tests.contracts.conftest import base_folder
from tests.contracts.engine_under_test import ROWS
from tests.engine.build_adapter import new_adapter

__all__ = ["base_folder"]

META = torch.device("meta")
TARGETS: dict[str, list[Any]] = {
    "classify": [0, 1],
    "regress": [0.5, 1.0],
    "tag": [[0] * len(ids) for ids in ROWS[:2]],
    "span": [[1, 2], [0, 1]],
}


def head_of(kind: str) -> dict[str, Any]:
    labels = {"labels": LABELS[kind]} if kind in LABELS else {}
    return {"kind": kind, "pooling": "native", **labels}


@pytest.fixture
def base(
    base_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Base]]:
    # a base is packed for the device on which it is made
    monkeypatch.setattr(packed_linears, "is_multipliable", lambda _: False)

    def make(family: str, **options: Any) -> Base:
        folder = str(base_folder(family))
        return Base(EngineConfig(base=folder, threads=1, **{"dtype": "float32"} | options))

    return make


def move(base: Base) -> None:
    base.numerics = replace(base.numerics, device=META)
    base.model.to(META)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_reference_run_trains_on_the_device_of_its_base(
    base: Callable[..., Base], kind: str
) -> None:
    # a family whose stock masks do not look at their values, which meta tensors have none of
    whole = base("deberta-v2", packed=False)
    move(whole)
    model = FullFinetuning(whole, head_of(kind), seed=0)
    pairs = zip(ROWS, TARGETS[kind], strict=False)
    rows = [[{"ids": ids, "type_ids": None, "target": target}] for ids, target in pairs]
    model.train(rows, epochs=1, batch_rows=1)
    assert {parameter.device for parameter in model.parameters} == {META}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_an_adapter_made_on_the_cpu_serves_on_the_device(
    base: Callable[..., Base], family: str, variant: str, dtype: str
) -> None:
    whole = base(family, dtype=dtype)
    adapter = new_adapter(whole, *VARIANTS[variant], head_of("classify"))
    move(whole)
    cache = AdapterCache(whole, num_slots=1, host_bytes=0, slot_bytes=0)
    kind = GatheredProduct if dtype == "bfloat16" else PlainProduct
    assert isinstance(cache._pool.product, kind)
    cache.hold(1, place(adapter, whole))
    rows = [Row.of(ids=ids, slot=number % 2) for number, ids in enumerate(ROWS)]
    with torch.inference_mode():
        placed = {1: cache[1]}
        batch = make_batch(whole, rows, placed)
        with acting_adapters(whole, Sites(whole.model, whole.boundaries), batch, placed):
            hidden = unpack(whole.forward(batch), batch)
        logits = compute_head_logits(whole, hidden, batch.slots, placed)
    assert {row.device for row in logits} == {META}
