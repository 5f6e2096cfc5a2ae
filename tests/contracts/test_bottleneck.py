"""Bottlenecks equal the equations of their papers, written out over the stock model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel

from engine.families import FAMILIES, Family
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

ACTIVATIONS = {
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "swish": torch.nn.functional.silu,
}
CHOICES = [("bottleneck", "swish"), ("bottleneck", "gelu"), ("pfeiffer", "relu"),
           ("parallel", "relu")]  # fmt: skip


@pytest.mark.parametrize(("variant", "activation"), CHOICES)
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_bottleneck_adds_its_two_layer_network_where_its_paper_says(
    make_engine: Callable[..., EngineUnderTest],
    base_folder: Callable[[str], Path],
    family: str,
    variant: str,
    activation: str,
) -> None:
    under_test = make_engine(family)
    case = Case(family, variant, "classify", "mean")
    adapter = under_test.adapter(case, activation=activation)
    digest = under_test.load(adapter)
    oracle = AutoModel.from_pretrained(base_folder(family), attn_implementation="eager").eval()
    for site, parts in adapter.weights.items():
        network = _network(parts, ACTIVATIONS[activation], adapter.config["scaling"])
        _ATTACH[variant](oracle, FAMILIES[family], under_test.base.sites[site].layer, site, network)
    for ids in ROWS:
        with torch.inference_mode():
            hidden = oracle(input_ids=torch.tensor([ids])).last_hidden_state[0]
            head = adapter.head_weights
            expected = hidden.mean(0) @ head["classifier.weight"].T + head["classifier.bias"]
        np.testing.assert_allclose(
            under_test.answers([(ids, digest)])[0], expected.numpy(), atol=1e-4
        )


Network = Callable[[Tensor], Tensor]


def _network(parts: dict[str, Tensor], activation: Network, scaling: float) -> Network:
    def network(x: Tensor) -> Tensor:
        inner = activation(x @ parts["down"].T + parts["down_bias"])
        return scaling * (inner @ parts["up"].T + parts["up_bias"])

    return network


def _houlsby(model: nn.Module, family: Family, layer: int, site: str, network: Network) -> None:
    del family, layer
    model.get_submodule(site).register_forward_hook(lambda _, args, h: h + network(h))


def _pfeiffer(model: nn.Module, family: Family, layer: int, site: str, network: Network) -> None:
    """norm(h + input + network(norm(h + input))); before its norm: h + network(h + input)."""
    norm = _norm(model, family, layer)
    if family.norm_first:
        held = _held(norm)
        model.get_submodule(site).register_forward_hook(
            lambda _, args, h: h + network(h + held.pop())
        )
    else:
        norm.register_forward_pre_hook(
            lambda module, args: (args[0] + network(module.forward(args[0])),)
        )


def _parallel(model: nn.Module, family: Family, layer: int, site: str, network: Network) -> None:
    """h + network(input), where the input is what the residual carries."""
    path = f"{family.layers}.{layer}"
    start = model.get_submodule(family.sublayers["feed_forward"].input.format(layer=path))
    held = _held(_norm(model, family, layer) if family.norm_first else start)
    model.get_submodule(site).register_forward_hook(lambda _, args, h: h + network(held.pop()))


def _norm(model: nn.Module, family: Family, layer: int) -> Any:
    path = family.sublayers["feed_forward"].norm.format(layer=f"{family.layers}.{layer}")
    return model.get_submodule(path)


def _held(module: nn.Module) -> list[Tensor]:
    held: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, args: held.append(args[0]))
    return held


_ATTACH = {"bottleneck": _houlsby, "pfeiffer": _pfeiffer, "parallel": _parallel}
