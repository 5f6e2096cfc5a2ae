"""LoRA in PEFT's files: which of their settings are supported, and which tensor is which factor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from engine.adapter_formats.config_fields import flag, text, whole, wrong
from engine.errors import BadAdapter, MissingTensors, NoMatchingSite, WrongShape
from engine.families.module_names import plain_name, resolve_pattern
from engine.kind_settings.lora import Bias
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
PATTERNS = ("rank_pattern", "alpha_pattern")
BIASES: tuple[str, ...] = get_args(Bias)


def check_config(config: Mapping[str, Any]) -> None:
    """Raises BadAdapter for what would be computed wrongly."""
    if config.get("r") is None:
        raise wrong("r", None, "a whole number")
    whole(config, "r", 8)
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
    if (text(config, "bias") or "none") not in BIASES:
        raise BadAdapter(f"bias is {config['bias']!r}; this engine serves {', '.join(BIASES)}")
    if flag(config, "use_dora") and flag(config, "lora_bias"):
        raise BadAdapter("use_dora and lora_bias are both set; PEFT has them only one at a time")


def read_patterns(config: Mapping[str, Any], weights: Weights) -> dict[str, Any]:
    """Ranks and alphas of single modules. What an expression makes a module's rank is read from its
    tensors; an alpha is nowhere else, so a key that is one there is refused.
    """
    named = config.get("rank_pattern")
    lifted = named if isinstance(named, Mapping) else {}
    by_name = {key: value for key, value in lifted.items() if plain_name(key) is not None}
    by_expression = {whole(lifted, key, 0) for key in lifted if key not in by_name}
    ranks = resolve_pattern("rank_pattern", by_name if lifted else named, weights)
    for site, parts in weights.items():
        rank = parts["down"].shape[0] if "down" in parts and parts["down"].ndim else None
        if rank in by_expression - {config["r"]} and site not in ranks:
            ranks[site] = rank
    return {
        "rank_pattern": ranks,
        "alpha_pattern": resolve_pattern("alpha_pattern", config.get("alpha_pattern"), weights),
    }


def missing_biases(setting: str, trained: Sequence[str], weights: Weights) -> list[str]:
    """Raises MissingTensors where some of the trained biases are there and some are not; answers
    what to tell where there are none at all, as some releases of PEFT saved them.
    """
    lacking = [path for path in trained if "bias" not in weights.get(path, {})]
    if not lacking:
        return []
    if len(lacking) == len(trained):
        return [
            f"adapter_config.json says bias {setting}, and the weights hold no biases: PEFT "
            "releases such as 0.12 and 0.17 did not save them. The adapter is served without, and "
            "answers otherwise than it did while it was trained"
        ]
    raise MissingTensors(
        f"adapter_config.json says bias {setting}, which trains {len(trained)} biases of this "
        f"base; the weights lack {len(lacking)} of them, such as that of {lacking[0]}"
    )


def group_tensors(tensors: Mapping[str, Tensor]) -> Weights:
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
    own = layout.bias(path)
    if own is None:
        raise NoMatchingSite(f"the adapter holds the bias of {path}; the base has no such bias")
    return own


def name_tensors(weights: Weights, sites: Sequence[str]) -> dict[str, Tensor]:
    """The inverse of `group_tensors`; an adapted module's bias is that of PEFT's base layer."""
    return {
        f"{path}.{'base_layer.bias' if part == 'bias' and path in sites else _KEYS[part]}": tensor
        for path, parts in weights.items()
        for part, tensor in parts.items()
    }
