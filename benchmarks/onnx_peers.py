"""ONNX Runtime after its transformer optimiser: the bare model, as it supports no adapters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from benchmarks.peers import Batches, Way, pad, sorted_parts
from engine.model.source import base_path

#: what the optimiser must have fused once a layer, or its figures would not be its best
LAYER_FUSIONS = ("Attention", "BiasGelu")


def onnx_ways(base: str, scratch: Path, batches: Batches) -> dict[str, Way]:
    """Whole batches, and four length-sorted parts of each batch."""
    return {
        f"ONNX Runtime optimised, {precision}, no adapter, {shape}": partial(
            _make_run, base, scratch, batches, precision, parts
        )
        for precision in ("fp32", "int8")
        for shape, parts in (("padded", 1), ("length-sorted", 4))
    }


def export_model(base: str, scratch: Path) -> Path:
    """The base as ONNX; inputs are `input_ids` and `attention_mask`, the output is `hidden`."""
    path = scratch / "base.onnx"
    if path.exists():
        return path
    model = AutoModel.from_pretrained(base_path(base), attn_implementation="eager").eval()
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "rows", 1: "tokens"}
    torch.onnx.export(
        _HiddenStates(model), (ids, ids), str(path), dynamo=False, opset_version=17,
        input_names=["input_ids", "attention_mask"], output_names=["hidden"],
        dynamic_axes=dict.fromkeys(("input_ids", "attention_mask", "hidden"), axes),
    )  # fmt: skip
    return path


def _make_run(
    base: str, scratch: Path, batches: Batches, precision: str, parts: int
) -> Callable[[], None]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # its threads would spin into the turn of the next peer
    options.add_session_config_entry("session.force_spinning_stop", "1")
    path = _optimize(base, scratch) if precision == "fp32" else _quantize(base, scratch)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = [pad(part) for rows in batches for part in sorted_parts(rows, parts)]

    def run() -> None:
        for ids, mask in inputs:
            session.run(None, {"input_ids": ids, "attention_mask": mask})

    return run


def _optimize(base: str, scratch: Path) -> Path:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    path = scratch / "base.optimised.onnx"
    if path.exists():
        return path
    config = AutoConfig.from_pretrained(base_path(base))
    model = optimize_model(
        str(export_model(base, scratch)), model_type="bert", num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size, optimization_options=FusionOptions("bert"), opt_level=0,
    )  # fmt: skip
    num_fused = model.get_fused_operator_statistics()
    assert all(num_fused[name] == config.num_hidden_layers for name in LAYER_FUSIONS), num_fused
    model.save_model_to_file(str(path))
    return path


def _quantize(base: str, scratch: Path) -> Path:
    """Dynamically: weights in int8, activations by their range in the batch."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = scratch / "base.int8.onnx"
    if not path.exists():
        quantize_dynamic(
            str(_optimize(base, scratch)), str(path), weight_type=QuantType.QInt8,
            # shape inference does not know the types of fused operators
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )  # fmt: skip
    return path


class _HiddenStates(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        hidden: torch.Tensor = output.last_hidden_state
        return hidden
