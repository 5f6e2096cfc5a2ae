"""LoRA: `W x + s B A x` at any linear (Hu et al. 2021, arXiv 2106.09685), in PEFT's files.

`s` is alpha/r, or alpha/sqrt(r) with rsLoRA (Kalajdzievski 2023, arXiv 2312.03732).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadAdapter, BadTraining, NoMatchingSite
from engine.kinds.adapter_kind import Layout, Weights, check_shapes, chosen_layers, positive
from engine.product import LowRank

_KEY = re.compile(r"(?P<site>.+)\.lora_(?P<part>[AB])\.weight")
_PARTS = {"A": "down", "B": "up"}
_KEYS = {"down": "lora_A.weight", "up": "lora_B.weight"}
#: PEFT settings that change the computation in ways this kind does not have
_UNSUPPORTED = {
    "use_dora": False, "lora_bias": False, "bias": "none",
    "layer_replication": None, "trainable_token_indices": None, "target_parameters": None,
    "alora_invocation_tokens": None, "use_qalora": False, "use_bdlora": None,
    "arrow_config": None, "monteclora_config": None, "velora_config": None,
}  # fmt: skip
#: initialisations of PEFT that also rewrite the base's weights when PEFT builds the layer
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_MAX_RANK = 512


class LoraKind:
    """Low-rank updates at linears, any subset, any rank per site."""

    name = "lora"
    reads_output = False

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        rank = positive(config, "rank", 8, _MAX_RANK)
        alpha = float(config["alpha"]) if config.get("alpha") is not None else float(rank)
        if not (math.isfinite(alpha) and alpha > 0):
            raise BadTraining(f"alpha is {alpha}; it must be a positive number")
        targets, layers = config.get("targets"), chosen_layers(config, layout.num_layers)
        if not (targets is None or isinstance(targets, list | tuple)):
            raise BadTraining(f"targets is {targets!r}; it must be a list of names of linears")
        sites = [
            s.name
            for s in layout.sites.values()
            if s.layer in layers and _targeted(s.name, targets)
        ]
        if not sites:
            raise BadTraining(
                f"targets {targets} match none of the base's linears, such as {min(layout.sites)}"
            )
        return {
            "r": rank, "lora_alpha": alpha, "use_rslora": bool(config.get("rslora", False)),
            "rank_pattern": {}, "alpha_pattern": {}, "sites": sites,
        }  # fmt: skip

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        weights: Weights = {}
        for name in config["sites"]:
            site, rank = layout.sites[name], int(config["r"])
            down = torch.empty(rank, site.in_features)
            bound = 1 / math.sqrt(site.in_features)  # PEFT's Kaiming uniform with a = sqrt(5)
            down.uniform_(-bound, bound, generator=generator)
            weights[name] = {"down": down, "up": torch.zeros(site.out_features, rank)}
        return weights

    def low_rank(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], dtype: torch.dtype
    ) -> LowRank:
        scale = _scaling(site, parts["down"].shape[0], config)
        return LowRank(
            down_KI=parts["down"].to(dtype), up_KO=(parts["up"] * scale).T.to(dtype).contiguous()
        )

    def activation(
        self, config: Mapping[str, Any]
    ) -> tuple[str, Callable[[Tensor], Tensor] | None]:
        del config
        return "none", None

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        _refuse_unsupported(config)
        weights = _group(tensors)
        _match(weights, layout)
        for name, parts in weights.items():
            site = layout.sites[name]
            check_shapes(
                site, parts, {"down": (None, site.in_features), "up": (site.out_features, None)}
            )
            _check_rank(name, parts, config)
        kept = {
            "r": int(config["r"]), "lora_alpha": float(config.get("lora_alpha", 8)),
            "use_rslora": bool(config.get("use_rslora", False)),
            "rank_pattern": _checked_pattern("rank_pattern", config, weights),
            "alpha_pattern": _checked_pattern("alpha_pattern", config, weights),
            "sites": sorted(weights),
        }  # fmt: skip
        return kept, weights

    def write(
        self, config: Mapping[str, Any], weights: Weights
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        content = {
            "peft_type": "LORA", "r": config["r"], "lora_alpha": config["lora_alpha"],
            "lora_dropout": 0.0, "use_rslora": config["use_rslora"],
            "rank_pattern": config["rank_pattern"], "alpha_pattern": config["alpha_pattern"],
            "target_modules": list(config["sites"]), "bias": "none",
            "fan_in_fan_out": False, "inference_mode": True,
        }  # fmt: skip
        tensors = {
            f"{site}.{_KEYS[part]}": t
            for site, parts in weights.items()
            for part, t in parts.items()
        }
        return content, tensors


def _targeted(site: str, targets: Any) -> bool:
    """PEFT's rule for a list: equal, or ending in `.target`; None targets every linear."""
    return targets is None or any(
        site == target or site.endswith(f".{target}") for target in targets
    )


def _group(tensors: Mapping[str, Tensor]) -> Weights:
    weights: Weights = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise BadAdapter(
                f"the adapter holds {key}, which is neither LoRA nor a head of this base"
            )
        weights.setdefault(match["site"], {})[_PARTS[match["part"]]] = tensor.float()
    return weights


def _match(weights: Weights, layout: Layout) -> None:
    unknown = sorted(set(weights) - set(layout.sites))
    if unknown or not weights:
        raise NoMatchingSite(
            f"{len(weights) - len(unknown)} of {len(weights)} adapted modules are sites of "
            f"this base; it has no {', '.join(unknown[:3]) or 'adapter weights at all'}, "
            f"only modules such as {min(layout.sites)}"
        )


def _check_rank(name: str, parts: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    down, up = parts["down"].shape[0], parts["up"].shape[1]
    declared = _pattern(name, config.get("rank_pattern"), config["r"])
    if down != up or down != declared or down > _MAX_RANK:
        raise BadAdapter(
            f"{name}: A has rank {down} and B rank {up}; the config says {declared}, "
            f"and at most {_MAX_RANK} is served"
        )


def _refuse_unsupported(config: Mapping[str, Any]) -> None:
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
    for name, default in _UNSUPPORTED.items():
        value = config.get(name, default)
        if value != default and value not in (None, False, [], {}):
            raise BadAdapter(
                f"adapter_config.json sets {name} to {value!r}; this engine serves LoRA without it"
            )


def _pattern(site: str, pattern: Mapping[str, Any] | None, default: Any) -> Any:
    """PEFT's patterns are regular expressions; only names, dotted endings and prefixes count."""
    for key, value in (pattern or {}).items():
        if site == key or site.endswith(f".{key}") or key.endswith(f".{site}"):
            return value
    return default


def _checked_pattern(
    name: str, config: Mapping[str, Any], weights: Weights
) -> dict[str, int | float]:
    """Every key names a site, with or without the stock model's prefix, and every value is sane."""
    kept: dict[str, int | float] = {}
    for key, value in (config.get(name) or {}).items():
        matched = [site for site in weights if site == key or site.endswith(f".{key}")]
        matched = matched or [site for site in weights if key.endswith(f".{site}")]
        if not matched:
            raise BadAdapter(f"{name} names {key!r}, which is no adapted module of this base")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise BadAdapter(f"{name} gives {key!r} the value {value!r}; it must be a number")
        kept |= dict.fromkeys(matched, value)
    return kept


def _scaling(site: str, rank: int, config: Mapping[str, Any]) -> float:
    alpha = float(_pattern(site, config["alpha_pattern"], config["lora_alpha"]))
    return alpha / math.sqrt(rank) if config["use_rslora"] else alpha / rank
