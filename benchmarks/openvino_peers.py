"""OpenVINO in static int8, quantised by nncf: the bare model, as it supports no adapters."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adapterd.demo.labelled import demo_texts
from benchmarks.onnx_peers import export_model
from benchmarks.peers import Batches, Way, pad, sorted_parts
from engine.model.source import base_path

NUM_CALIBRATION_TEXTS = 300
PARTS = 4


def openvino_ways(base: str, scratch: Path, batches: Batches) -> dict[str, Way]:
    """The two documented hints: one request after the other, and several at a time."""
    make = partial(_make_run, base, scratch, batches)
    return {
        "OpenVINO int8, no adapter, padded, LATENCY": partial(make, "LATENCY", 1),
        "OpenVINO int8, no adapter, length-sorted, LATENCY": partial(make, "LATENCY", PARTS),
        "OpenVINO int8, no adapter, length-sorted, THROUGHPUT": partial(make, "THROUGHPUT", PARTS),
    }


def _make_run(
    base: str, scratch: Path, batches: Batches, hint: str, parts: int
) -> Callable[[], None]:
    import openvino

    core = openvino.Core()
    threads = torch.get_num_threads()
    model = core.compile_model(
        str(_quantize(base, scratch)), "CPU",
        {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": threads},
    )  # fmt: skip
    inputs = [
        {"input_ids": ids, "attention_mask": mask}
        for rows in batches
        for ids, mask in map(pad, sorted_parts(rows, parts))
    ]
    if hint == "LATENCY":
        request = model.create_infer_request()

        def run_in_turn() -> None:
            for feed in inputs:
                request.infer(feed)

        return run_in_turn
    queue = openvino.AsyncInferQueue(model)

    def run() -> None:
        for feed in inputs:
            queue.start_async(feed)
        queue.wait_all()

    return run


def _quantize(base: str, scratch: Path) -> Path:
    import openvino

    path = scratch / "base.int8.xml"
    if path.exists():
        return path
    os.environ["NNCF_CI"] = "1"  # it reports its use otherwise
    import nncf

    model = openvino.Core().read_model(str(export_model(base, scratch)))
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars
        quantized = nncf.quantize(
            model, nncf.Dataset(_calibration_rows(base)), model_type=nncf.ModelType.TRANSFORMER,
            subset_size=NUM_CALIBRATION_TEXTS,
        )  # fmt: skip
    openvino.save_model(quantized, str(path), compress_to_fp16=False)
    return path


def _calibration_rows(base: str) -> list[dict[str, Any]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base_path(base) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    texts = demo_texts()[:NUM_CALIBRATION_TEXTS]
    rows = [pad([encoding.ids]) for encoding in tokenizer.encode_batch(texts)]
    return [{"input_ids": ids, "attention_mask": mask} for ids, mask in rows]
