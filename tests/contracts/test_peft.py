"""Where PEFT has the method, its answers are ours; what we write, it loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.pytorch_utils import Conv1D

from engine.families import FAMILIES
from engine.head_layers import HeadLayers
from engine.heads import head_kind
from tests.contracts.bench import ROWS, Bench
from tests.contracts.cases import LABELS, Case
from tests.contracts.tiny import BASES

TARGETS = {
    "bert": ["query", "value"],
    "roberta": ["key", "intermediate.dense"],
    "distilbert": ["q_lin", "lin2"],
    "electra": ["query", "output.dense"],
    "albert": ["query", "ffn_output"],
    "modernbert": ["Wqkv", "Wi"],
    "deberta-v2": ["query_proj", "value_proj"],
    "mpnet": ["q", "intermediate.dense"],
    "gpt2": ["c_attn", "c_fc"],
    "llama": ["q_proj", "down_proj"],
    "qwen2": ["k_proj", "up_proj"],
    "qwen3": ["v_proj", "o_proj"],
    "gemma3": ["q_proj", "gate_proj"],
    "gpt_neox": ["query_key_value", "dense_4h_to_h"],
    "opt": ["v_proj", "fc2"],
    "phi3": ["qkv_proj", "gate_up_proj"],
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 12},
    "rslora": {"r": 4, "lora_alpha": 12, "use_rslora": True},
    "all-linear": {"r": 3, "lora_alpha": 3},
    "patterns": {"r": 4, "lora_alpha": 12},
}
NUM_OUTPUTS = {"classify": 3, "regress": 1, "tag": 3}
#: families without a stock model of the kind: there is nothing to compare with
NO_STOCK = {("gemma3", "tag"), ("opt", "tag")}
TASKS = [(f, h) for f in sorted(BASES) for h in NUM_OUTPUTS if (f, h) not in NO_STOCK]


def stock_model(folder: Path, head: str) -> Any:
    """The stock task model; its base weights are the folder's, its head is new."""
    kind = AutoModelForTokenClassification if head == "tag" else AutoModelForSequenceClassification
    model = kind.from_pretrained(folder, num_labels=NUM_OUTPUTS[head], attn_implementation="eager")
    assert model.config._attn_implementation == "eager"
    return model.eval()


def peft_directory(folder: Path, family: str, head: str, variant: str, target: Path) -> Any:
    """A PEFT adapter with non-zero weights, saved by PEFT; answers the live model."""
    torch.manual_seed(5)
    modules = "all-linear" if variant == "all-linear" else TARGETS[family]
    if variant == "all-linear":  # PEFT would adapt the pooler and the head as well
        model = stock_model(folder, head)
        modules = [n for n, m in model.named_modules() if _in_layers(family, n, m)]
    heads = HeadLayers(
        head_kind({"kind": head}).check({"kind": head, "labels": LABELS.get(head)}),
        FAMILIES[family].configured(BASES[family]()), 1,
    ).modules  # fmt: skip
    options = dict(VARIANTS[variant])
    if variant == "patterns":
        first, second = TARGETS[family]
        options |= {"rank_pattern": {first: 2}, "alpha_pattern": {second: 5}}
    task = "TOKEN_CLS" if head == "tag" else "SEQ_CLS"
    config = LoraConfig(
        task_type=task, target_modules=modules, **options,
        modules_to_save=heads, fan_in_fan_out=family == "gpt2",
    )  # fmt: skip
    model = get_peft_model(stock_model(folder, head), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(target)
    return model


def _in_layers(family: str, name: str, module: torch.nn.Module) -> bool:
    inside = f".{FAMILIES[family].layers}." in name
    return isinstance(module, torch.nn.Linear | Conv1D) and inside


def stock_logits(model: Any, ids: list[int], head: str) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits
    return logits[0].numpy()


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize(("family", "head"), TASKS)
def test_a_directory_saved_by_peft_answers_as_peft_does(
    bench: Callable[..., Bench], base_folder: Callable[[str], Path], tmp_path: Path,
    family: str, head: str, variant: str,
) -> None:  # fmt: skip
    oracle = peft_directory(base_folder(family), family, head, variant, tmp_path)
    table = bench(family)
    digest = table.load(tmp_path, {"kind": head, "labels": LABELS.get(head)})
    for ids, answer in zip(ROWS, table.answers([(ids, digest) for ids in ROWS]), strict=True):
        np.testing.assert_allclose(answer, stock_logits(oracle, ids, head), atol=1e-4)


@pytest.mark.parametrize(("family", "head"), TASKS)
def test_a_lora_version_we_write_loads_with_stock_peft_and_answers_the_same(
    bench: Callable[..., Bench], base_folder: Callable[[str], Path], family: str, head: str
) -> None:
    table = bench(family)
    case = Case(family, "lora", head, "native")
    slot = table.open(case)
    table.train(case, slot, steps=3)
    directory = table.write(table.engine._trainings[slot].adapter)
    oracle = PeftModel.from_pretrained(stock_model(base_folder(family), head), directory).eval()
    head_settings = {"kind": head, "labels": LABELS.get(head)}
    digest = table.load(directory, head_settings)
    for ids, answer in zip(ROWS, table.answers([(ids, digest) for ids in ROWS]), strict=True):
        np.testing.assert_allclose(answer, stock_logits(oracle, ids, head), atol=1e-4)


def test_labels_that_nobody_named_get_the_stock_names(
    bench: Callable[..., Bench], base_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    from engine import port

    peft_directory(base_folder("bert"), "bert", "classify", "plain", tmp_path)
    inspected = bench("bert").ask(port.Inspect(directory=str(tmp_path)))
    assert inspected.semantics["head"]["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]
