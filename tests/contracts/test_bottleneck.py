"""Bottlenecks equal the equations of their paper, written out over the stock model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from tests.contracts.bench import ROWS, Bench
from tests.contracts.cases import Case
from tests.contracts.tiny import BASES

ACTIVATIONS = {
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "swish": torch.nn.functional.silu,
}


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_bottleneck_adds_its_two_layer_network_to_each_sublayer(
    bench: Callable[..., Bench], base_folder: Callable[[str], Path], family: str, activation: str
) -> None:
    table = bench(family)
    case = Case(family, "bottleneck", "classify", "mean")
    adapter = table.adapter(case, activation=activation)
    digest = table.load(adapter)
    oracle = AutoModel.from_pretrained(base_folder(family), attn_implementation="eager").eval()
    for site, parts in adapter.weights.items():
        oracle.get_submodule(site).register_forward_hook(_houlsby(parts, ACTIVATIONS[activation]))
    for ids in ROWS:
        with torch.inference_mode():
            hidden = oracle(input_ids=torch.tensor([ids])).last_hidden_state[0]
            head = adapter.head_weights
            expected = hidden.mean(0) @ head["classifier.weight"].T + head["classifier.bias"]
        np.testing.assert_allclose(table.answers([(ids, digest)])[0], expected.numpy(), atol=1e-4)


def _houlsby(parts: dict[str, Any], activation: Callable[[Any], Any]) -> Callable[..., Any]:
    def after(module: object, args: object, h: Any) -> Any:
        del module, args
        inner = activation(h @ parts["down"].T + parts["down_bias"])
        return h + inner @ parts["up"].T + parts["up_bias"]

    return after
