"""A merged version as a directory of stock files: model, tokenizer, and our `adapterd.json`.

Where transformers has the head, `AutoModelFor…` loads the whole; elsewhere `AutoModel` loads the
base, and the head is `head.safetensors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from engine.adapters.adapter import Adapter
from engine.adapters.directory import HEAD
from engine.adapters.files import read_tensors, tensor_bytes
from engine.adapters.head_layers import HeadLayers
from engine.errors import NotExportable
from engine.exports.fold import fold_weights
from engine.exports.task_model import HeadedModel, StockTaskModel
from engine.model.base import Base
from engine.model.source import base_path

RECORD = "adapterd.json"
_BARE = "AutoModel"
_AUTO: dict[str, Any] = {
    "AutoModel": AutoModel,
    "AutoModelForCausalLM": AutoModelForCausalLM,
    "AutoModelForSeq2SeqLM": AutoModelForSeq2SeqLM,
    "AutoModelForSequenceClassification": AutoModelForSequenceClassification,
    "AutoModelForTokenClassification": AutoModelForTokenClassification,
    "AutoModelForQuestionAnswering": AutoModelForQuestionAnswering,
}
_OF_HEADS = {
    "classify": "AutoModelForSequenceClassification",
    "regress": "AutoModelForSequenceClassification",
    "rerank": "AutoModelForSequenceClassification",
    "tag": "AutoModelForTokenClassification",
    "span": "AutoModelForQuestionAnswering",
}


def write_merged(adapter: Adapter, base: Base, directory: Path) -> str:
    """Writes into an existing directory; answers the class that loads it. Raises NotExportable."""
    path = base_path(base.name)
    if path.is_file():
        raise NotExportable(
            f"the base {base.name} is a GGUF file, which holds rounded weights; export from a "
            "base in safetensors"
        )
    auto = _auto_class(adapter, base)
    options = _head_options(adapter.head) if auto in _OF_HEADS.values() else {}
    model = _AUTO[auto].from_pretrained(path, dtype=torch.float32, **options).eval()
    _fill(model, fold_weights(adapter, base), base)
    record = {"auto_class": auto, "head": adapter.head, "base": base.name}
    if auto in _OF_HEADS.values():
        _load(model, adapter.head_weights)
    elif adapter.head_weights:
        (directory / HEAD).write_bytes(tensor_bytes(adapter.head_weights))
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(path).save_pretrained(directory)
    (directory / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    return auto


def read_merged(directory: Path, base: Base) -> Any:
    """The model in a directory that `write_merged` wrote, from its files alone: a TaskModel, or
    the stock model that writes.
    """
    record = json.loads((directory / RECORD).read_bytes())
    auto = record["auto_class"]
    model = _AUTO[auto].from_pretrained(directory, dtype=torch.float32).eval()
    if auto in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM"):
        return model
    if auto != _BARE:
        return StockTaskModel(model)
    layers = HeadLayers(record["head"], base.family, base.hidden_size)
    path = directory / HEAD
    weights = read_tensors(path.read_bytes(), "head") if path.exists() else {}
    return HeadedModel(model, layers, weights, reads_pooler=layers.base_pooler)


def _auto_class(adapter: Adapter, base: Base) -> str:
    kind, config = adapter.head["kind"], type(base.model.config)
    if kind == "generate":
        seq2seq = base.family.architecture == "seq2seq"
        return "AutoModelForSeq2SeqLM" if seq2seq else "AutoModelForCausalLM"
    auto = _OF_HEADS.get(kind, _BARE)
    is_stock = adapter.head["pooling"] == "native" and "layout" not in adapter.head
    return auto if is_stock and config in _AUTO[auto]._model_mapping else _BARE


def _head_options(head: Mapping[str, Any]) -> dict[str, Any]:
    """Of the stock model's config."""
    if head["kind"] == "span":
        return {}
    labels = head.get("labels")
    if labels is None:
        return {"num_labels": 1, "problem_type": "regression"}
    names = list(labels)
    several = {"problem_type": "multi_label_classification"} if head.get("multi_label") else {}
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
        **several,
    }


def _fill(model: Any, changes: Mapping[str, Tensor], base: Base) -> None:
    """The bare model inside gets the base's weights and the adapter's changes of them.

    Stock task models may name the bare one otherwise than the base's checkpoint does, so what
    `from_pretrained` found is not relied on.
    """
    inner = getattr(model, model.base_model_prefix, model)
    if model.__class__.__name__.endswith(("ForCausalLM", "ForConditionalGeneration")):
        inner = model.base_model
    state = {name: tensor.float() for name, tensor in base.model.state_dict().items()}
    known = inner.state_dict().keys()
    weights = {name: tensor for name, tensor in {**state, **changes}.items() if name in known}
    if lost := sorted(set(changes) - set(weights)):
        raise NotExportable(f"the stock model has no {lost[0]}, which the adapter changes")
    if absent := sorted(set(known) - set(weights)):
        raise NotExportable(f"the base has no {absent[0]}, which the stock model needs")
    inner.load_state_dict(weights, strict=False)


def _load(model: Any, weights: Mapping[str, Tensor]) -> None:
    report = model.load_state_dict(dict(weights), strict=False)
    if report.unexpected_keys:
        raise NotExportable(
            f"the stock model has no {report.unexpected_keys[0]}, which the version's head has"
        )
