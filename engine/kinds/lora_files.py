"""LoRA as PEFT's files have it: which settings are served, and which tensor is which part."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadAdapter, NoMatchingSite, WrongShape
from engine.kinds.adapter_kind import Layout, Weights

_KEYS = {
    "down": "lora_A.weight", "up": "lora_B.weight", "up_bias": "lora_B.bias",
    "magnitude": "lora_magnitude_vector", "bias": "bias",
}  # fmt: skip
_PARTS = {key: part for part, key in _KEYS.items()} | {"base_layer.bias": "bias"}
_KEY = re.compile(r"(?P<site>.+?)\.(?P<key>{})".format("|".join(map(re.escape, _PARTS))))
#: PEFT settings that change the computation in ways this kind does not have
_UNSUPPORTED = (
    "layer_replication", "trainable_token_indices", "target_parameters", "kasa_config",
    "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "monteclora_config",
    "velora_config",
)  # fmt: skip
#: initialisations of PEFT that also rewrite the base's weights when PEFT builds the layer
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
BIASES = ("none", "lora_only", "all")


def check_config(config: Mapping[str, Any]) -> None:
    """Raises BadAdapter for what would be computed wrongly."""
    if not isinstance(config.get("r"), int) or isinstance(config.get("r"), bool):
        raise BadAdapter(
            f"adapter_config.json gives r as {config.get('r')!r}; it must be a whole number"
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise BadAdapter(
            f"init_lora_weights is {start!r}, which changes the base; "
            "convert the adapter to a plain LoRA when saving it"
        )
    for name in _UNSUPPORTED:
        if config.get(name) not in (None, False, [], {}):
            raise BadAdapter(
                f"adapter_config.json sets {name} to {config[name]!r}; "
                "this engine serves LoRA without it"
            )
    if (config.get("bias") or "none") not in BIASES:
        raise BadAdapter(f"bias is {config['bias']!r}; this engine serves {', '.join(BIASES)}")
    if config.get("use_dora") and config.get("lora_bias"):
        raise BadAdapter("use_dora and lora_bias are both set; PEFT has them only one at a time")


def grouped(tensors: Mapping[str, Tensor]) -> Weights:
    """Tensors by module and part; raises BadAdapter for a stranger among them."""
    weights: Weights = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise BadAdapter(
                f"the adapter holds {key}, which is neither LoRA nor a head of this base"
            )
        weights.setdefault(match["site"], {})[_PARTS[match["key"]]] = tensor.float()
    return weights


def bias_keys(biases: Mapping[str, Tensor], setting: str, layout: Layout) -> dict[str, Tensor]:
    """The trained biases of the base, by module; those that equal the base's own are left out.

    Raises BadAdapter where the base has no such bias, or none that a single row can change.
    """
    kept = {}
    for path, bias in biases.items():
        if setting == "none":
            raise BadAdapter(f"the adapter holds the bias of {path}; its config says bias is none")
        own = _own_bias(path, layout)
        if own.shape != bias.shape:
            raise WrongShape(
                f"{path}: the bias has shape {list(bias.shape)}; the base needs {list(own.shape)}"
            )
        if torch.equal(own.float().cpu(), bias):
            continue
        if path not in layout.boundaries:
            raise BadAdapter(
                f"the adapter changes the bias of {path}, which all rows of this base share; "
                "train it with bias lora_only or none"
            )
        kept[path] = bias
    return kept


def _own_bias(path: str, layout: Layout) -> Tensor:
    try:
        own = layout.bias(path)
    except AttributeError:
        own = None
    if own is None:
        raise NoMatchingSite(f"the adapter holds the bias of {path}; the base has no such bias")
    return own


def keyed(weights: Weights, sites: Sequence[str]) -> dict[str, Tensor]:
    """The inverse of `grouped`: a bias of an adapted module is the bias of PEFT's base layer."""
    return {
        f"{path}.{'base_layer.bias' if part == 'bias' and path in sites else _KEYS[part]}": tensor
        for path, parts in weights.items()
        for part, tensor in parts.items()
    }
