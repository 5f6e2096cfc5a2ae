"""LoRA: `W x + s B A x` at any linear (Hu et al. 2021, arXiv 2106.09685), in PEFT's files.

`s` is alpha/r, or alpha/sqrt(r) with rsLoRA (Kalajdzievski 2023, arXiv 2312.03732). With DoRA (Liu
et al. 2024, arXiv 2402.09353) the output less its bias is scaled by m / ||W + sBA||.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.adapter_formats.config_fields import flag, number, text
from engine.errors import BadAdapter, BadTraining
from engine.families.module_names import resolve_pattern
from engine.kind_settings.lora import LoraSettings
from engine.kinds.adapter_kind import (
    Layout,
    PeftTargets,
    Weights,
    check_names,
    check_shapes,
    check_sites,
    chosen_sites,
    positive,
)
from engine.kinds.lora_files import (
    BIASES,
    PATTERNS,
    bias_keys,
    check_config,
    group_tensors,
    missing_biases,
    name_tensors,
    read_patterns,
)
from engine.sites.effect import Effect, LowRank

_MAX_RANK = 512


class LoraKind(PeftTargets):
    """Low-rank updates at linears, any subset, any rank per site."""

    name = "lora"

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        check_names(config, self.name)
        rank = positive(config, "rank", LoraSettings.model_fields["rank"].default, _MAX_RANK)
        alpha = float(config["alpha"]) if config.get("alpha") is not None else float(rank)
        if not (math.isfinite(alpha) and alpha > 0):
            raise BadTraining(f"alpha is {alpha}; it must be a positive number")
        bias = config.get("bias") or "none"
        if bias not in BIASES:
            raise BadTraining(f"bias is {bias!r}; it must be one of {', '.join(BIASES)}")
        dora, lora_bias = bool(config.get("dora")), bool(config.get("lora_bias"))
        if dora and lora_bias:
            raise BadTraining("lora_bias and dora do not go together: a scaled product has no bias")
        sites = chosen_sites(config, layout, None)
        return {
            "r": rank,
            "lora_alpha": alpha,
            "use_rslora": bool(config.get("rslora", False)),
            "use_dora": dora,
            "lora_bias": lora_bias,
            "bias": bias,
            **_checked_patterns(config, sites),
            "sites": sites,
        }

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        weights: Weights = {}
        for name in config["sites"]:
            site, rank = layout.sites[name], int(config["rank_pattern"].get(name, config["r"]))
            down = torch.empty(rank, site.in_features)
            bound = 1 / math.sqrt(site.in_features)  # PEFT's Kaiming uniform with a = sqrt(5)
            down.uniform_(-bound, bound, generator=generator)
            parts = {"down": down, "up": torch.zeros(site.out_features, rank)}
            if config["use_dora"]:
                parts["magnitude"] = torch.linalg.norm(layout.weight(name).float().cpu(), dim=1)
            if config["lora_bias"]:
                parts["up_bias"] = torch.zeros(site.out_features)
            weights[name] = parts
        for path in _find_trained_biases(config, layout):
            if (bias := layout.bias(path)) is not None:
                weights.setdefault(path, {})["bias"] = bias.float().cpu().clone()
        return weights

    def effect(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], layout: Layout
    ) -> Effect:
        if "down" not in parts:
            return Effect(shift_O=_shift(site, parts, 1.0, None, layout))
        scale = _scaling(site, parts["down"].shape[0], config)
        ratio_O = _ratio(site, parts, scale, layout) if "magnitude" in parts else None
        up_OK = parts["up"] * scale if ratio_O is None else parts["up"] * scale * ratio_O[:, None]
        dtype = layout.dtype
        return Effect(
            product=LowRank(down_KI=parts["down"].to(dtype), up_KO=up_OK.T.to(dtype).contiguous()),
            gain_O=None if ratio_O is None else (ratio_O - 1).to(dtype),
            shift_O=_shift(site, parts, scale, ratio_O, layout),
        )

    def group(self, config: Mapping[str, Any]) -> str:
        return "lora/dora" if config["use_dora"] else self.name

    def activation(self, config: Mapping[str, Any]) -> None:
        del config

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        check_config(config)
        weights = group_tensors(tensors)
        biases = {site: parts.pop("bias") for site, parts in weights.items() if "bias" in parts}
        weights = {site: parts for site, parts in weights.items() if parts}
        check_sites(weights, layout)
        sites = sorted(weights)
        settings = {
            "r": int(config["r"]),
            "lora_alpha": number(config, "lora_alpha", 8),
            "use_rslora": flag(config, "use_rslora"),
            "use_dora": flag(config, "use_dora"),
            "lora_bias": flag(config, "lora_bias"),
            "bias": text(config, "bias") or "none",
            **read_patterns(config, weights),
            "sites": sites,
        }
        for name, parts in weights.items():
            check_shapes(layout.sites[name], parts, _shapes(name, settings, layout))
            _check_rank(name, parts, settings)
        for path, bias in bias_keys(biases, settings["bias"], layout).items():
            weights.setdefault(path, {})["bias"] = bias
        return settings, weights

    def missing(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        sites: Sequence[str],
        layout: Layout,
    ) -> list[str]:
        """The base's own biases that were trained beside the products."""
        setting = text(config, "bias") or "none"
        trained = [
            path
            for path in _find_trained_biases({"bias": setting, "sites": list(sites)}, layout)
            if layout.bias(path) is not None
        ]
        return missing_biases(setting, trained, group_tensors(tensors))

    def write(
        self, config: Mapping[str, Any], weights: Weights, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        settings = {name: value for name, value in config.items() if name != "sites"}
        content = {
            "peft_type": "LORA",
            **settings,
            "lora_dropout": 0.0,
            "target_modules": list(config["sites"]),
            "inference_mode": True,
            "fan_in_fan_out": any(layout.is_transposed(site) for site in config["sites"]),
        }
        return content, name_tensors(weights, config["sites"])


def _checked_patterns(config: Mapping[str, Any], sites: list[str]) -> dict[str, Any]:
    """Those of a new adapter; raises BadTraining."""
    try:
        patterns = {name: resolve_pattern(name, config.get(name), sites) for name in PATTERNS}
    except BadAdapter as error:
        raise BadTraining(str(error)) from error
    for site, rank in patterns["rank_pattern"].items():
        name = f"rank_pattern of {site}"
        positive({name: rank}, name, 1, _MAX_RANK)
    return patterns


def _find_trained_biases(config: Mapping[str, Any], layout: Layout) -> list[str]:
    """Where the base's own biases are trained: with `all`, wherever a single row can have its own,
    outside the chosen layers too, as PEFT has it.
    """
    everywhere = {"none": [], "lora_only": config["sites"], "all": layout.boundaries}
    return list(everywhere[config["bias"]])


def _shapes(name: str, config: Mapping[str, Any], layout: Layout) -> dict[str, tuple[Any, ...]]:
    site = layout.sites[name]
    shapes: dict[str, tuple[Any, ...]] = {
        "down": (None, site.in_features),
        "up": (site.out_features, None),
    }
    if config["use_dora"]:
        shapes["magnitude"] = (site.out_features,)
    if config["lora_bias"]:
        shapes["up_bias"] = (site.out_features,)
    return shapes


def _check_rank(name: str, parts: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    down, up = parts["down"].shape[0], parts["up"].shape[1]
    declared = int(config["rank_pattern"].get(name, config["r"]))
    if down != up or down != declared or not 1 <= down <= _MAX_RANK:
        raise BadAdapter(
            f"{name}: A has rank {down} and B rank {up}; the config says {declared}, "
            f"and from 1 to {_MAX_RANK} is served"
        )


def _scaling(site: str, rank: int, config: Mapping[str, Any]) -> float:
    alpha = float(config["alpha_pattern"].get(site, config["lora_alpha"]))
    return alpha / math.sqrt(rank) if config["use_rslora"] else alpha / rank


def _ratio(site: str, parts: Mapping[str, Tensor], scale: float, layout: Layout) -> Tensor:
    """m / ||W + sBA|| per output; the norm is a constant to the gradient, as the paper wants."""
    with torch.no_grad():
        whole_OI = layout.weight(site).float() + scale * (parts["up"] @ parts["down"])
        norm_O = torch.linalg.norm(whole_OI, dim=1)
        # a norm past all numbers would quietly switch the output off
        norm_O = norm_O.where(torch.isfinite(norm_O), torch.nan)
    ratio_O: Tensor = parts["magnitude"] / norm_O
    return ratio_O


def _shift(
    site: str, parts: Mapping[str, Tensor], scale: float, ratio_O: Tensor | None, layout: Layout
) -> Tensor | None:
    """What trained biases add, and what keeps the base's own bias out of DoRA's scaling."""
    shifts = [parts["up_bias"] * scale] if "up_bias" in parts else []
    bias_O = layout.bias(site)
    if "bias" in parts and bias_O is not None:
        shifts.append(parts["bias"] - bias_O.float())
    if ratio_O is not None and bias_O is not None:
        shifts.append((1 - ratio_O) * bias_O.float())
    return torch.stack(shifts).sum(0).to(layout.dtype) if shifts else None
