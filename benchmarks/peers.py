"""The peers, set up as documented and with their best documented settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, AutoModelForSequenceClassification

from engine.model.source import base_path

Batches = list[list[list[int]]]


def write_adapters(
    base: str, directory: Path, count: int, targets: list[str], rank: int, first_layer: int = 0
) -> list[Path]:
    """Saves adapters with nonzero B, as if trained, and two-label heads as PEFT directories."""
    model = AutoModelForSequenceClassification.from_pretrained(base_path(base), num_labels=2)
    config = LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules=targets,
        layers_to_transform=list(range(first_layer, model.config.num_hidden_layers)),
    )  # fmt: skip
    return write_random_adapters(get_peft_model(model, config), directory, count)


def write_random_adapters(peft: Any, directory: Path, count: int) -> list[Path]:
    """Saves the model's LoRA `count` times, each with a different random B."""
    paths = []
    for number in range(count):
        torch.manual_seed(number)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        paths.append(directory / f"a{number}")
        peft.save_pretrained(paths[-1])
    return paths


def peft_model(base: str, adapters: list[Path], dtype: torch.dtype = torch.float32) -> Any:
    """`PeftModel` with every adapter loaded; a call takes `adapter_names`, one per row."""
    model = AutoModelForSequenceClassification.from_pretrained(
        base_path(base), num_labels=2, dtype=dtype
    )
    peft = PeftModel.from_pretrained(
        model, adapters[0], adapter_name="a0", autocast_adapter_dtype=False
    )
    for number, path in enumerate(adapters[1:], 1):
        peft.load_adapter(path, adapter_name=f"a{number}", autocast_adapter_dtype=False)
    return peft.to(dtype).eval()


def polylora_model(
    base: str, adapters: list[Path], batches: Batches, dtype: torch.dtype
) -> Callable[[], None]:
    from polylora import PolyLoraConfig, PolyLoraModel

    model = AutoModelForSequenceClassification.from_pretrained(
        base_path(base), num_labels=2, dtype=dtype
    )
    config = PolyLoraConfig(
        max_gpu_adapters=len(adapters), max_rank=8, target_modules=["query", "value"]
    )
    wrapped = PolyLoraModel(model, config).eval()
    for number, path in enumerate(adapters):
        wrapped.load_adapter_from_disk(f"a{number}", str(path))
    names = [f"a{i}" for i in range(len(adapters))]
    inputs = [_pad(rows) for rows in batches]

    @torch.inference_mode()
    def run() -> None:
        for ids, mask in inputs:
            wrapped(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                adapter_ids=names,
            )

    return run


def onnx_ways(
    base: str, scratch: Path, batches: Batches
) -> dict[str, Callable[[], Callable[[], None]]]:
    """ONNX Runtime, which does not support adapters.

    It runs whole batches, and four length-sorted parts of each batch.
    """
    return {
        f"ONNX Runtime {precision}, no adapter, {shape}": partial(
            _onnx, base, scratch, batches, precision, parts
        )
        for precision in ("fp32", "int8")
        for shape, parts in (("padded", 1), ("length-sorted", 4))
    }


def _onnx(
    base: str, scratch: Path, batches: Batches, precision: str, parts: int
) -> Callable[[], None]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(_export_model(base, scratch, precision)), options)
    inputs = [_pad(part) for rows in batches for part in _sorted_parts(rows, parts)]

    def run() -> None:
        for ids, mask in inputs:
            session.run(None, {"input_ids": ids, "attention_mask": mask})

    return run


def _export_model(base: str, scratch: Path, precision: str) -> Path:
    plain, small = scratch / "base.onnx", scratch / "base.int8.onnx"
    if not plain.exists():
        model = AutoModel.from_pretrained(base_path(base), attn_implementation="eager").eval()
        ids = torch.ones(2, 8, dtype=torch.long)
        axes = {0: "rows", 1: "tokens"}
        torch.onnx.export(
            _HiddenStates(model), (ids, ids), str(plain), dynamo=False, opset_version=17,
            input_names=["input_ids", "attention_mask"], output_names=["hidden"],
            dynamic_axes=dict.fromkeys(("input_ids", "attention_mask", "hidden"), axes),
        )  # fmt: skip
    if precision == "int8" and not small.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(str(plain), str(small), weight_type=QuantType.QInt8)
    return small if precision == "int8" else plain


class _HiddenStates(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -1e9
        hidden: torch.Tensor = self.model(
            input_ids=input_ids, attention_mask=mask
        ).last_hidden_state
        return hidden


def _sorted_parts(rows: list[list[int]], parts: int) -> list[list[list[int]]]:
    if parts == 1:
        return [rows]
    ordered = sorted(rows, key=len)
    size = len(rows) // parts
    return [ordered[i : i + size] for i in range(0, len(rows), size)]


def _pad(rows: list[list[int]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
    return ids, mask
