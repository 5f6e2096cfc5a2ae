"""AdapterHub's configurations in this engine's words: its LoRA as PEFT's, its heads as settings.

Knows the `adapters` library's files; its bottlenecks are `engine.kinds.bottleneck_files`'.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from engine.adapter_formats.config_fields import flag, indices, number, text, whole, wrong
from engine.adapter_formats.targets import Targets
from engine.errors import BadAdapter

_LORA_KEY = re.compile(r"(?P<site>.+)\.loras\.[^.]+\.lora_(?P<half>[AB])")
#: settings of its LoRA that change the computation in ways this engine does not have
_LORA_NEEDS: dict[str, Any] = {
    "composition_mode": "add", "use_gating": False, "use_dora": False,
    "vera_d": None, "vera_b": None,
}  # fmt: skip
#: its types of heads that are linears on what a token or the base's pooler gives
_HEADS = {
    "classification": "classify", "multilabel_classification": "classify", "tagging": "tag",
    "question_answering": "span",
}  # fmt: skip
#: how the names of stock models with a head end
_STOCK_HEADS = {
    "ForSequenceClassification": "classify", "ForTokenClassification": "tag",
    "ForQuestionAnswering": "span",
}  # fmt: skip
VERSION = "adapters.1.0.0"


def architecture(config: Mapping[str, Any]) -> str:
    """The kind of adapter that the library saved; raises BadAdapter for one not served."""
    inner = config["config"]
    if "non_linearity" in inner:
        return "bottleneck"
    named = inner.get("architecture")
    if named != "lora":
        raise BadAdapter(
            f"the adapter's architecture is {named!r}; of AdapterHub's library this engine serves "
            "bottlenecks and lora"
        )
    return "lora"


def lora_as_peft(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The same adapter in PEFT's words; raises BadAdapter for what would be computed wrongly."""
    inner = config["config"]
    for name, needed in _LORA_NEEDS.items():
        if inner.get(name, needed) != needed:
            raise BadAdapter(
                f"adapter_config.json sets {name} to {inner[name]!r}; "
                f"this engine serves AdapterHub's lora with {needed!r} there"
            )
    peft = {"r": whole(inner, "r", 8), "lora_alpha": number(inner, "alpha", 8)}
    renamed = {}
    for key, tensor in tensors.items():
        match = _LORA_KEY.fullmatch(key)
        renamed[f"{match['site']}.lora_{match['half']}.weight" if match else key] = tensor
    return peft, renamed


def lora_targets(
    config: Mapping[str, Any], adapted: Collection[str], layer_paths: Sequence[str]
) -> Targets:
    """The library adapts the same modules in every layer that it does not leave out."""
    left_out = indices(config["config"], "leave_out")
    modules = {
        site.removeprefix(f"{path}.")
        for path in layer_paths
        for site in adapted
        if site.startswith(f"{path}.")
    }
    sites = {
        f"{path}.{module}"
        for number_, path in enumerate(layer_paths)
        for module in modules
        if number_ not in left_out
    }
    return Targets(description=f"every layer but the left out {left_out}", sites=frozenset(sites))


def described_head(head_config: Mapping[str, Any], is_decoder: bool) -> dict[str, Any]:
    """What head_config.json says of the head, as this engine's settings of one; empty where it says
    nothing. Raises BadAdapter for a head that cannot be computed here.
    """
    inner = head_config.get("config")
    if inner is None:
        return _stock_head(head_config)
    if not isinstance(inner, Mapping):
        raise BadAdapter("head_config.json must give config as an object")
    named = inner.get("head_type")
    if not isinstance(named, str) or named not in _HEADS:
        raise BadAdapter(
            f"the head's type is {named!r}; of AdapterHub's heads this engine serves "
            f"{', '.join(_HEADS)}"
        )
    kind = _HEADS[named]
    head: dict[str, Any] = {"kind": kind, **_labels(kind, inner)}
    if named.startswith("multilabel"):
        head |= {"kind": "classify", "multi_label": True, **_labels("tag", inner)}
    if kind == "classify":
        head["pooling"] = "last" if is_decoder else "cls"
    activation = text(inner, "activation_function").lower() or None
    head["layout"] = {
        "layers": inner.get("layers"),
        "activation": activation,
        "bias": inner.get("bias", True),
        "pooler": flag(inner, "use_pooler"),
    }
    return head


def stock_head_config(
    head: Mapping[str, Any], stock: str, common: Mapping[str, Any]
) -> dict[str, Any]:
    """head_config.json of a stock model's own head."""
    labels = head.get("labels") or ["LABEL_0", "LABEL_1"][: 1 if head["kind"] == "regress" else 2]
    return {
        **common,
        "config": None,
        "model_class": stock,
        "name": None,
        "num_labels": len(labels),
        "label2id": {label: place for place, label in enumerate(labels)},
        "version": VERSION,
    }


def _stock_head(head_config: Mapping[str, Any]) -> dict[str, Any]:
    model_class = text(head_config, "model_class")
    kind = next((k for end, k in _STOCK_HEADS.items() if model_class.endswith(end)), None)
    if kind is None:
        return {}
    return {"kind": kind, "pooling": "native", **_labels(kind, head_config)}


def _labels(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """By their numbers; a classifier of one output is a regression, as stock models have it."""
    count = whole(config, "num_labels", 2)
    if kind == "classify" and count == 1:
        return {"kind": "regress"}
    if kind == "span":
        return {}
    ids = config.get("label2id")
    if ids is None:
        return {}
    if not isinstance(ids, Mapping) or not all(
        isinstance(each, int | str) and str(each).isdecimal() for each in ids.values()
    ):
        raise wrong("label2id", ids, "an object of labels and whole numbers")
    ordered = sorted(ids, key=lambda label: int(ids[label]))
    if [int(ids[label]) for label in ordered] != list(range(count)):
        raise BadAdapter(
            f"head_config.json numbers its labels {sorted(map(int, ids.values()))}; "
            f"the head's {count} outputs are numbered from 0"
        )
    return {"labels": ordered}
