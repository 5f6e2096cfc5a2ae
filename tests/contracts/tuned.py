"""Stock task models tuned by PEFT: the oracle for every kind that PEFT has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import BeftConfig, IA3Config, LoraConfig, PeftConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from engine.adapters.head_layers import HeadLayers
from engine.kinds import KINDS
from engine.model.base import Base
from tests.contracts.cases import LABELS

NUM_OUTPUTS = {"classify": 3, "regress": 1, "tag": 3}
TASKS = {"classify": "SEQ_CLS", "regress": "SEQ_CLS", "tag": "TOKEN_CLS"}
_LORA = {"r": 4, "lora_alpha": 12}
VARIANTS: dict[str, dict[str, Any]] = {
    "lora": _LORA,
    "rslora": {**_LORA, "use_rslora": True},
    "every linear": {"r": 3, "lora_alpha": 3},
    "patterns": _LORA,
    "dora": {**_LORA, "use_dora": True},
    "dora everywhere": {**_LORA, "use_dora": True, "use_rslora": True},
    "some layers": _LORA,
    "lora bias": {**_LORA, "lora_bias": True},
    "bias of adapted modules": {**_LORA, "bias": "lora_only"},
    "dora with biases": {**_LORA, "use_dora": True, "bias": "lora_only"},
    "every bias": {**_LORA, "bias": "all"},
    "ia3": {},
    "beft": {},
}


def _auto_class(head: str) -> Any:
    return AutoModelForTokenClassification if head == "tag" else AutoModelForSequenceClassification


def heads(base: Base) -> list[str]:
    """Those of which transformers has a task model for the family."""
    config = type(base.model.config)
    return [
        head
        for head in NUM_OUTPUTS
        if head in base.family.native_heads and config in _auto_class(head)._model_mapping
    ]


def peft_has(variant: str, base: Base) -> bool:
    """PEFT's BEFT knows no linear that keeps its weight the other way round."""
    return variant not in ("beft", "bias") or not base.is_transposed(next(iter(base.sites)))


def stock_model(folder: Path, head: str) -> Any:
    """The stock task model; its base weights are the folder's, its head is new."""
    kind = _auto_class(head)
    model = kind.from_pretrained(folder, num_labels=NUM_OUTPUTS[head], attn_implementation="eager")
    assert model.config._attn_implementation == "eager"
    return model.eval()


def tuned_model(folder: Path, base: Base, head: str, variant: str, target: Path) -> Any:
    """A model tuned off its start, saved by PEFT into `target`."""
    torch.manual_seed(5)
    settings = {"kind": head, "labels": LABELS.get(head), "pooling": "native"}
    modules = HeadLayers(settings, base.family, base.hidden_size).modules
    config = _config(variant, base, task_type=TASKS[head], modules_to_save=modules)
    model = get_peft_model(stock_model(folder, head), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and not shared(name, base):
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(target)
    return model


def shared(parameter: str, base: Base) -> bool:
    """Whether it belongs to a module of the base that does not run on the rows' own tokens."""
    path = parameter.removeprefix(f"base_model.model.{base.family.prefix}.")
    return path.startswith(base.family.shared_modules)


def _config(variant: str, base: Base, **common: Any) -> PeftConfig:
    first, *_, last = names = linears(base)
    is_transposed = base.is_transposed(next(iter(base.sites)))
    if variant == "ia3":
        chosen = KINDS["ia3"].check({}, base)
        return IA3Config(
            target_modules=chosen["sites"], feedforward_modules=chosen["feedforward"],
            fan_in_fan_out=is_transposed, **common,
        )  # fmt: skip
    if variant == "beft":
        return BeftConfig(target_modules=[first, last], **common)
    options = dict(VARIANTS[variant])
    if variant == "patterns":
        options |= {"rank_pattern": {first: 2}, "alpha_pattern": {last: 5}}
    options["fan_in_fan_out"] = is_transposed
    if variant == "some layers":
        options |= {"layers_to_transform": [base.num_layers // 2]}
    # not PEFT's "all-linear", which takes the pooler and the head as well
    everywhere = variant in ("every linear", "dora everywhere")
    targets = list(base.sites) if everywhere else [first, last] if names else []
    return LoraConfig(target_modules=targets, **options, **common)


def linears(base: Base) -> list[str]:
    """The names of one layer's linears, from the layer on."""
    path = base.layer_paths[0]
    return [name.removeprefix(f"{path}.") for name in base.sites if name.startswith(f"{path}.")]


def stock_logits(model: Any, ids: list[int]) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits
    answer: NDArray[np.float32] = logits[0].numpy()
    return answer
