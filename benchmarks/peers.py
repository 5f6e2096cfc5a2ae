"""The peers, set up as documented and with their best documented settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, AutoModelForSequenceClassification

from engine.model.source import base_path

Batches = list[list[list[int]]]
#: sets a peer up and returns what runs every batch once
Way = Callable[[], Callable[[], None]]


def write_adapters(
    base: str,
    directory: Path,
    count: int,
    targets: list[str],
    rank: int,
    first_layer: int = 0,
    spread: float = 0.02,
) -> list[Path]:
    """Saves adapters with nonzero B, as if trained, and two-label heads as PEFT directories.

    `spread` is the standard deviation of B.
    """
    model = AutoModelForSequenceClassification.from_pretrained(base_path(base), num_labels=2)
    config = LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules=targets,
        layers_to_transform=list(range(first_layer, model.config.num_hidden_layers)),
    )  # fmt: skip
    return write_random_adapters(get_peft_model(model, config), directory, count, spread)


def write_random_adapters(
    peft: Any, directory: Path, count: int, spread: float = 0.02
) -> list[Path]:
    """Saves the model's LoRA `count` times, each with a different random B."""
    paths = []
    for number in range(count):
        torch.manual_seed(number)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=spread)
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


def padded_run(
    model: Any, batches: Batches, autocast: bool = False, **kwargs: Any
) -> Callable[[], None]:
    """The model on rectangles, in the order of the batch."""
    inputs = [tuple(map(torch.from_numpy, pad(rows))) for rows in batches]

    @torch.inference_mode()
    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            for ids, mask in inputs:
                model(input_ids=ids, attention_mask=mask, **kwargs)

    return run


def stock_model(base: str, dtype: torch.dtype) -> Any:
    return AutoModel.from_pretrained(base_path(base), dtype=dtype).eval()


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
    inputs = [pad(rows) for rows in batches]

    @torch.inference_mode()
    def run() -> None:
        for ids, mask in inputs:
            wrapped(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                adapter_ids=names,
            )

    return run


def sorted_parts(rows: list[list[int]], parts: int) -> list[list[list[int]]]:
    if parts == 1:
        return [rows]
    ordered = sorted(rows, key=len)
    size = len(rows) // parts
    return [ordered[i : i + size] for i in range(0, len(rows), size)]


def pad(rows: list[list[int]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Token ids and attention mask of a rectangle."""
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
    return ids, mask
