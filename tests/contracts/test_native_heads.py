"""A native head is the stock model's own, whatever the base's config says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from engine.adapters.adapter import Adapter
from engine.config import EngineConfig
from engine.engine import Engine
from engine.errors import BadAdapter
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import build_base

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "modernbert-mean": ("modernbert", {"classifier_pooling": "mean"}),
    "modernbert-biases": (
        "modernbert", {
            "classifier_bias": True, "norm_bias": True, "norm_eps": 0.1,
            "classifier_activation": "relu",
        },
    ),
    "deberta-v2-tanh": ("deberta-v2", {"pooler_hidden_act": "tanh"}),
    "deberta-v2-own-positions": (
        "deberta-v2", {"share_att_key": False, "position_biased_input": True},
    ),
    "deberta-v2-no-positions": ("deberta-v2", {"relative_attention": False, "conv_kernel_size": 0}),
    "albert-groups": ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2}),
    "electra-same-width": ("electra", {"embedding_size": 32}),
}  # fmt: skip


def engine_for(folder: Path, family: str, changes: dict[str, Any]) -> EngineUnderTest:
    base = build_base(family, folder / "base", **changes)
    engine = Engine(EngineConfig(base=str(base), dtype="float32", threads=1))
    return EngineUnderTest(engine, folder / "adapters")


@pytest.mark.parametrize("head", ["classify", "tag"])
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_native_head_computes_what_the_stock_model_of_the_config_does(
    tmp_path: Path, name: str, head: str
) -> None:
    family, changes = CONFIGS[name]
    under_test = engine_for(tmp_path, family, changes)
    kind = AutoModelForTokenClassification if head == "tag" else AutoModelForSequenceClassification
    stock = kind.from_pretrained(tmp_path / "base", num_labels=3, attn_implementation="eager")
    with torch.no_grad():
        for key, parameter in stock.eval().named_parameters():
            if not key.startswith(under_test.base.family.prefix):
                parameter.normal_(0, 0.3)
    bare = under_test.adapter(Case(family, "lora", head, "native"), scale=0.0)
    weights = {key: stock.state_dict()[key].clone() for key in bare.head_weights}
    digest = under_test.load(
        Adapter(
            kind="lora", config=bare.config, weights=bare.weights, head=bare.head,
            head_weights=weights,
        )
    )  # fmt: skip
    for ids, answer in zip(ROWS, under_test.answers([(ids, digest) for ids in ROWS]), strict=True):
        with torch.inference_mode():
            expected = stock(
                input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long()
            )
        np.testing.assert_allclose(answer, expected.logits[0].numpy(), atol=1e-5)


def test_a_head_with_an_activation_that_is_not_computed_here_is_refused(tmp_path: Path) -> None:
    under_test = engine_for(tmp_path, "modernbert", {"classifier_activation": "mish"})
    with pytest.raises(BadAdapter, match="uses mish; this engine computes tanh"):
        under_test.adapter(Case("modernbert", "lora", "classify", "native"))
