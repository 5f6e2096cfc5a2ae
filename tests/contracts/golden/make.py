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
}


def main() -> None:
    for name, (kind, options) in CONFIGS.items():
        write(Path(__file__).parent / name, kind, options)


def write(folder: Path, kind: str, options: dict[str, Any]) -> None:
    adapters: Any = importlib.import_module("adapters")
    model: Any = BertForSequenceClassification(BertConfig(**CONFIG)).eval()
    adapters.init(model)
    model.add_adapter("golden", config=adapters.AdapterConfig.load(kind, **options))
    model.set_active_adapters("golden")
    fill(model)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_adapter(str(folder), "golden", with_head=True, use_safetensors=True)
    with torch.inference_mode():
        logits = [model(input_ids=torch.tensor([ids])).logits[0].tolist() for ids in ROWS]
    (folder / "expected.json").write_text(json.dumps(logits) + "\n")


if __name__ == "__main__":
    main()
