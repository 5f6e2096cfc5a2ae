"""Writes the golden files: what AdapterHub's own library saves and answers.

The library pins another transformers, so it runs in an environment of its own, from this folder:
`pip install adapters` and `python make.py`.
"""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification
from weights import CONFIG, ROWS, fill

CONFIGS = {
    "houlsby": ("double_seq_bn", {"reduction_factor": 8}),
    "pfeiffer": ("seq_bn", {"reduction_factor": 4, "leave_out": [0]}),
    "parallel": ("par_bn", {"reduction_factor": 4}),
    "lora": (
        "lora", {
            "r": 2, "alpha": 6, "attn_matrices": ["q", "k"], "output_lora": True, "leave_out": [0],
        },
    ),
}  # fmt: skip
LABELS = {0: "red", 1: "green", 2: "blue"}
TAGS = {0: "O", 1: "B-x", 2: "I-x"}


#: heads that `AutoAdapterModel` adds: what it is called there, and its options
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "head-two-layers": ("classification", {"num_labels": 3, "id2label": LABELS}),
    "head-pooler": ("classification", {"num_labels": 3, "layers": 1, "use_pooler": True}),
    "head-multilabel": (
        "classification", {
            "num_labels": 3, "multilabel": True, "activation_function": "gelu",
            "use_pooler": True,
        },
    ),
    "head-number": ("classification", {"num_labels": 1, "layers": 3}),
    "head-tagging": ("tagging", {"num_labels": 3, "layers": 2, "id2label": TAGS}),
    "head-question": ("qa", {"num_labels": 2}),
}  # fmt: skip


def main() -> None:
    adapters: Any = importlib.import_module("adapters")
    here = Path(__file__).parent
    for name, (kind, options) in CONFIGS.items():
        model: Any = BertForSequenceClassification(BertConfig(**CONFIG))
        adapters.init(model)
        write(here / name, model, adapters.AdapterConfig.load(kind, **options))
    for name, (kind, options) in HEADS.items():
        model = adapters.BertAdapterModel(BertConfig(**CONFIG))
        getattr(model, f"add_{kind}_head")("golden", **options)
        config = adapters.AdapterConfig.load("seq_bn", reduction_factor=8, leave_out=[1])
        write(here / name, model, config)


def write(folder: Path, model: Any, config: Any) -> None:
    model.eval().add_adapter("golden", config=config)
    model.set_active_adapters("golden")
    fill(model)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_adapter(str(folder), "golden", with_head=True, use_safetensors=True)
    with torch.inference_mode():
        logits = [answer(model(input_ids=torch.tensor([ids]))) for ids in ROWS]
    (folder / "expected.json").write_text(json.dumps(logits) + "\n")


def answer(output: Any) -> Any:
    if hasattr(output, "logits"):
        return output.logits[0].tolist()
    return torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1).tolist()


if __name__ == "__main__":
    main()
