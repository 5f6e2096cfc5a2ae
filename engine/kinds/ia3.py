"""(IA)³: learned scales of keys, of values and of the input of the feed-forward's last linear.

Liu et al. 2022, arXiv 2205.05638; in PEFT's files, and at PEFT's default modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadAdapter, BadTraining, WrongShape
from engine.families.module_names import is_targeted
from engine.kinds.adapter_kind import (
    Layout,
    PeftTargets,
    Weights,
    check_names,
    check_sites,
    chosen_sites,
)
from engine.port import Site
from engine.sites.effect import Effect

_SUFFIX = ".ia3_l"
_Modules = tuple[tuple[str, ...], tuple[str, ...]]

_BERT: _Modules = (("key", "value", "output.dense"), ("output.dense",))
_LLAMA: _Modules = (("k_proj", "v_proj", "down_proj"), ("down_proj",))
_GEMMA: _Modules = (("q_proj", "v_proj", "down_proj"), ("down_proj",))
#: by `config.model_type`: the modules PEFT adapts, and those of them scaled at their input; for
#: types that PEFT leaves out, the same places under their own names
_DEFAULTS: dict[str, _Modules] = {
    "bert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT, "electra": _BERT,
    "distilbert": (("k_lin", "v_lin", "lin2"), ("lin2",)),
    "albert": (("key", "value", "ffn_output"), ("ffn_output",)),
    "modernbert": (("Wqkv", "mlp.Wo"), ("mlp.Wo",)),
    "deberta-v2": (("key_proj", "value_proj", "output.dense"), ("output.dense",)),
    "mpnet": (("attn.k", "attn.v", "output.dense"), ("output.dense",)),
    "gpt2": (("c_attn", "mlp.c_proj"), ("mlp.c_proj",)),
    "gpt_neox": (("query_key_value", "dense_4h_to_h"), ("dense_4h_to_h",)),
    "opt": (("q_proj", "k_proj", "fc2"), ("fc2",)),
    "llama": _LLAMA, "mistral": _LLAMA, "qwen2": _GEMMA, "qwen3": _GEMMA, "gemma3_text": _GEMMA,
    "phi3": (("qkv_proj", "down_proj"), ("down_proj",)),
    "t5": (("k", "v", "wo"), ("wo",)),
    "mt5": (("k", "v", "wi_1"), ()),
    "bart": (("q_proj", "v_proj", "fc2"), ("fc2",)),
}  # fmt: skip


class Ia3Kind(PeftTargets):
    """One learned scale per output of a linear, or per input where the config says so."""

    name = "ia3"

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        check_names(config, self.name)
        default, inputs = _DEFAULTS.get(layout.model_type, (None, ()))
        if default is None and not config.get("targets"):
            raise BadTraining(
                f"ia3 has no default targets for {layout.model_type} models; name them, with "
                "those among them that are feedforward"
            )
        sites = chosen_sites(config, layout, default)
        feedforward = config.get("feedforward")
        for name in feedforward or ():
            if not any(is_targeted(site, [name]) for site in sites):
                raise BadTraining(
                    f"feedforward names {name!r}, which is no adapted module, such as {sites[0]}"
                )
        inputs = inputs if feedforward is None else feedforward
        return {"feedforward": [s for s in sites if is_targeted(s, inputs)], "sites": sites}

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        del generator
        return {
            name: {"scale": torch.ones(_width(layout.sites[name], config))}
            for name in config["sites"]
        }

    def effect(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], layout: Layout
    ) -> Effect:
        gain = (parts["scale"] - 1).to(layout.dtype)
        if site in config["feedforward"]:
            return Effect(input_gain_I=gain)
        return Effect(gain_O=gain)

    def group(self, config: Mapping[str, Any]) -> str:
        del config
        return self.name

    def activation(self, config: Mapping[str, Any]) -> None:
        del config

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        del config  # which side a scale belongs to is written in its shape
        strange = [key for key in tensors if not key.endswith(_SUFFIX)]
        if strange:
            raise BadAdapter(
                f"the adapter holds {strange[0]}, which is neither IA3 nor a head of this base"
            )
        scales = {key.removesuffix(_SUFFIX): tensor.float() for key, tensor in tensors.items()}
        weights: Weights = {site: {"scale": t.flatten()} for site, t in scales.items()}
        check_sites(weights, layout)
        feedforward = [s for s in sorted(scales) if _scales_input(layout.sites[s], scales[s])]
        return {"feedforward": feedforward, "sites": sorted(weights)}, weights

    def write(
        self, config: Mapping[str, Any], weights: Weights, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        content = {
            "peft_type": "IA3",
            "target_modules": list(config["sites"]),
            "feedforward_modules": list(config["feedforward"]),
            "inference_mode": True,
            "fan_in_fan_out": any(layout.is_transposed(site) for site in config["sites"]),
        }
        tensors = {
            f"{site}{_SUFFIX}": parts["scale"][None]
            if site in config["feedforward"]
            else parts["scale"][:, None]
            for site, parts in weights.items()
        }
        return content, tensors


def _width(site: Site, config: Mapping[str, Any]) -> int:
    return site.in_features if site.name in config["feedforward"] else site.out_features


def _scales_input(site: Site, scale: Tensor) -> bool:
    """PEFT keeps a scale of inputs as [1, I], one of outputs as [O, 1]."""
    shape = tuple(scale.shape)
    if shape not in ((1, site.in_features), (site.out_features, 1)):
        raise WrongShape(
            f"{site.name}: the scale has shape {list(shape)}; the base needs "
            f"[1, {site.in_features}] or [{site.out_features}, 1]"
        )
    return shape == (1, site.in_features)
