"""One version as an ONNX graph: ids to logits, with rows and lengths of any number."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import NotExportable
from engine.exports.task_model import INPUTS
from engine.model.base import Base

MODEL = "model.onnx"
_NEEDED = ("onnx", "onnxruntime", "onnxscript")
#: a length that is no size of the base's, so that it is not taken for one
_ROWS, _LENGTH = 2, 11


def check_packages() -> None:
    """Raises NotExportable."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise NotExportable(
            f"ONNX needs the package {missing[0]}; run `pip install 'adapterd[onnx]'`"
        )


def write_onnx(model: Any, directory: Path, base: Base) -> None:
    """Replaces the stock weights of a merged directory by one graph that holds them."""
    check_packages()
    names = INPUTS if base.family.token_types else INPUTS[:2]
    # of each input its own tensor: one that is passed twice becomes one input
    ids, mask = torch.arange(_ROWS * _LENGTH).view(_ROWS, _LENGTH), torch.ones(_ROWS, _LENGTH)
    inputs = (ids, mask.long(), torch.zeros_like(ids))[: len(names)]
    rows, length = torch.export.Dim("rows"), torch.export.Dim("tokens")
    # the stock attention for exports: others choose their path by what is in the mask
    model.model.set_attn_implementation("eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries of the exporter tell each other
        try:
            torch.onnx.export(
                model.eval(), inputs, str(directory / MODEL), dynamo=True,
                input_names=list(names), output_names=["logits"], external_data=False,
                verbose=False, dynamic_shapes=tuple({0: rows, 1: length} for _ in names),
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise NotExportable(
                f"PyTorch cannot write the base {base.name} as an ONNX graph; export it as merged. "
                f"It says: {_first_line(error)}"
            ) from error
    for path in (*directory.glob("*.safetensors"), *directory.glob("*.safetensors.index.json")):
        path.unlink()


def open_onnx(directory: Path) -> Callable[[Mapping[str, NDArray[np.int64]]], NDArray[np.float32]]:
    """The graph in a directory, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(directory / MODEL), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no class in common
        raise NotExportable(
            f"onnxruntime cannot load the graph that was written: {_first_line(error)}"
        ) from error

    def compute(inputs: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run(["logits"], dict(inputs))[0]
        return logits

    return compute


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
