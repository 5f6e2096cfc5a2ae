"""Several adapters in one slot answer what a base with all of them merged in would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from engine import port
from engine.adapters.adapter import Adapter
from engine.model.base import Base
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]


def _case(variant: str, family: str = "bert") -> Case:
    return Case(family, variant, "classify", "mean")


@pytest.mark.parametrize("family", sorted(BASES))
def test_a_composition_answers_as_the_base_with_the_weighted_adapters_merged_in(
    make_engine: MakeBench, base_folder: Callable[[str], Path], family: str
) -> None:
    under_test = make_engine(family)
    adapters = [
        under_test.adapter(_case("lora", family), seed=1, alpha=6.0),
        under_test.adapter(_case("lora-biases", family), seed=2, rank=3),
        under_test.adapter(_case("bias", family), seed=3),
    ]
    weights = [0.75, -0.5, 2.0]
    digests = [under_test.load(adapter) for adapter in adapters]
    parts = dict(zip(digests, weights, strict=True))
    under_test.ask(port.Compose(digest="sum", first=digests[0], parts=parts))
    oracle = AutoModel.from_pretrained(base_folder(family), attn_implementation="eager").eval()
    for adapter, weight in zip(adapters, weights, strict=True):
        _merge(oracle, under_test.base, adapter, weight)
    head = adapters[0].head_weights
    for ids, answer in zip(ROWS, under_test.answers([(ids, "sum") for ids in ROWS]), strict=True):
        with torch.inference_mode():
            hidden = oracle(input_ids=torch.tensor([ids])).last_hidden_state[0]
            expected = hidden.mean(0) @ head["classifier.weight"].T + head["classifier.bias"]
        np.testing.assert_allclose(answer, expected.numpy(), atol=1e-4)


@torch.no_grad()
def _merge(model: torch.nn.Module, base: Base, adapter: Adapter, weight: float) -> None:
    for site, parts in adapter.weights.items():
        linear: Any = model.get_submodule(site)
        shift = torch.zeros(base.sites[site].out_features)
        if "down" in parts:
            scale = adapter.config["lora_alpha"] / adapter.config["r"]
            product = weight * scale * parts["up"] @ parts["down"]
            linear.weight += product.T if base.is_transposed(site) else product
            shift += scale * parts.get("up_bias", 0)
        own = base.bias(site)
        if "bias" in parts and own is not None:
            shift += parts["bias"] - own
        shift += parts.get("shift", 0)
        old = 0 if linear.bias is None else linear.bias
        linear.bias = torch.nn.Parameter(old + weight * shift)


def test_a_composition_beside_its_own_parts_equals_each_row_alone(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    one, two = (under_test.load(under_test.adapter(_case("lora"), seed=seed)) for seed in (1, 2))
    under_test.ask(port.Compose(digest="sum", first=two, parts={one: 0.5, two: 0.5}))
    rows = [(ids, digest) for ids in ROWS for digest in (one, "sum", two, None)]
    for row, answer in zip(rows, under_test.answers(rows), strict=True):
        np.testing.assert_allclose(answer, under_test.answers([row])[0], atol=1e-5)


def test_one_adapter_composed_with_weight_one_is_itself(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    digest = under_test.load(under_test.adapter(_case("lora")))
    under_test.ask(port.Compose(digest="same", first=digest, parts={digest: 1.0}))
    for ids in ROWS:
        np.testing.assert_array_equal(
            under_test.answers([(ids, "same")])[0], under_test.answers([(ids, digest)])[0]
        )


def test_a_head_alone_may_stand_over_the_adapters_of_others(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    head = under_test.load(under_test.adapter(_case("head_only"), seed=4))
    lora = under_test.load(under_test.adapter(_case("lora"), seed=5))
    under_test.ask(port.Compose(digest="over", first=head, parts={lora: 1.0}))
    assert not np.allclose(
        under_test.answers([(ROWS[0], "over")])[0], under_test.answers([(ROWS[0], lora)])[0]
    )


@pytest.mark.parametrize("variant", ["dora", "ia3", "bottleneck", "pfeiffer", "parallel"])
def test_kinds_that_do_not_compose_are_refused_by_name(
    make_engine: MakeBench, variant: str
) -> None:
    under_test = make_engine("bert")
    lora, other = (under_test.load(under_test.adapter(_case(v))) for v in ("lora", variant))
    refusal = under_test.refusal(
        port.Compose(digest="x", first=lora, parts={lora: 1.0, other: 1.0})
    )
    assert refusal.code == "cannot_compose"
    assert KIND_NAMES[variant] in refusal.message


KIND_NAMES = {
    "dora": "lora/dora", "ia3": "ia3", "bottleneck": "bottleneck/houlsby",
    "pfeiffer": "bottleneck/pfeiffer", "parallel": "bottleneck/parallel",
}  # fmt: skip


def test_a_composition_takes_no_memory_and_goes_with_its_parts(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    one, two = (under_test.load(under_test.adapter(_case("lora"), seed=seed)) for seed in (1, 2))
    size = under_test.ask(
        port.Compose(digest="sum", first=one, parts={one: 1.0, two: 1.0})
    ).num_bytes
    loaded = under_test.ask(port.Stats()).loaded
    assert loaded["sum"] == 0
    assert size == loaded[one] + loaded[two]
    under_test.answers([(ROWS[0], "sum")])
    under_test.ask(port.Unload(digest=two))
    assert set(under_test.ask(port.Stats()).loaded) == {one}
    refusal = under_test.refusal(port.Compose(digest="sum", first=one, parts={two: 1.0}))
    assert refusal.code == "not_loaded"


def test_weights_that_overflow_are_refused(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    adapter = under_test.adapter(_case("lora"))
    for parts in adapter.weights.values():
        parts["up"].fill_(1e38)
    digest = under_test.load(adapter)
    refusal = under_test.refusal(port.Compose(digest="x", first=digest, parts={digest: 50.0}))
    assert refusal.code == "cannot_compose"
    assert "overflows" in refusal.message
