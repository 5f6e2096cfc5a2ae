"""Bottleneck adapters: `up(act(down(x)))` beside or after a sublayer, in AdapterHub's files.

Houlsby et al. 2019 (arXiv 1902.00751): on the output of each sublayer. Pfeiffer et al. 2020 (arXiv
2005.00247): after the feed-forward's norm, followed by that norm again. Parallel, He et al. 2021
(arXiv 2110.04366): from the input of the feed-forward to its output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.adapter_formats.targets import Targets
from engine.errors import BadTraining, NoMatchingSite
from engine.kinds.adapter_kind import (
    CompleteFiles,
    Layout,
    Weights,
    check_names,
    check_shapes,
    chosen_layers,
    positive,
)
from engine.kinds.bottleneck_files import content, group_tensors, name_tensors, read_config, targets
from engine.ops.grouped_product import Activation
from engine.sites.effect import Effect, LowRank
from engine.sites.routes import Route, around_norm, of_output, spanning, with_residual

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu, "gelu": functional.gelu, "swish": functional.silu, "tanh": torch.tanh,
    "gelu_new": partial(functional.gelu, approximate="tanh"), "leakyrelu": functional.leaky_relu,
    "silu": functional.silu, "sigmoid": torch.sigmoid,
}  # fmt: skip
_INIT_STD = 0.01  # near the identity, as Houlsby's paper starts
#: variant -> sublayers, reduction, activation, scaling, as AdapterHub has them
_VARIANTS: dict[str, tuple[tuple[str, ...], int, str, float]] = {
    "houlsby": (("attention", "feed_forward"), 16, "swish", 1.0),
    "pfeiffer": (("feed_forward",), 16, "relu", 1.0),
    "parallel": (("feed_forward",), 2, "relu", 4.0),
}


class BottleneckKind(CompleteFiles):
    """A small two-layer network at sublayers: where it reads and adds is its variant's choice."""

    name = "bottleneck"

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        check_names(config, self.name)
        variant = _one_of("variant", config.get("variant") or "houlsby", _VARIANTS)
        names, reduction, activation, scaling = _VARIANTS[variant]
        scaling = config.get("scaling") or scaling
        if not (isinstance(scaling, int | float) and 0 < scaling < math.inf):
            raise BadTraining(f"scaling is {scaling!r}; it must be a positive number")
        layers = chosen_layers(config, layout.num_layers)
        return {
            "variant": variant,
            "reduction": positive(config, "reduction", reduction, layout.hidden_size),
            "activation": _one_of(
                "activation", config.get("activation") or activation, _ACTIVATIONS
            ),
            "scaling": float(scaling),
            "sites": [layout.sublayer(name, layer) for layer in layers for name in names],
        }

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        weights: Weights = {}
        for name in config["sites"]:
            width = layout.sites[name].out_features
            rank = max(1, width // int(config["reduction"]))
            down = torch.empty(rank, width).normal_(0, _INIT_STD, generator=generator)
            weights[name] = {
                "down": down,
                "down_bias": torch.zeros(rank),
                "up": torch.zeros(width, rank),
                "up_bias": torch.zeros(width),
            }
        return weights

    def effect(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], layout: Layout
    ) -> Effect:
        dtype, scaling = layout.dtype, config["scaling"]
        product = LowRank(
            down_KI=parts["down"].to(dtype),
            down_bias_K=parts["down_bias"].to(dtype),
            up_KO=(parts["up"] * scaling).T.to(dtype).contiguous(),
        )
        return Effect(
            product=product,
            shift_O=(parts["up_bias"] * scaling).to(dtype),
            route=_route(site, config["variant"], layout),
        )

    def group(self, config: Mapping[str, Any]) -> str:
        return f"{self.name}/{config['variant']}/{config['activation']}"

    def activation(self, config: Mapping[str, Any]) -> Activation:
        return _ACTIVATIONS[config["activation"]]

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        settings = read_config(config, sorted(_ACTIVATIONS))
        names = _VARIANTS[settings["variant"]][0]
        places = {
            layout.sublayer(name, layer): (name, layer)
            for layer in range(layout.num_layers)
            for name in names
        }
        weights = group_tensors(tensors, layout)
        unknown = sorted(set(weights) - set(places))
        if unknown or not weights:
            raise NoMatchingSite(
                f"{len(weights) - len(unknown)} of {len(weights)} bottlenecks sit where this base "
                f"has room for a {settings['variant']} one; it has none at "
                f"{', '.join(unknown[:3]) or 'no module at all'}, only at such as {min(places)}"
            )
        for name, parts in weights.items():
            width = layout.sites[name].out_features
            rank = parts["down"].shape[0] if "down" in parts else None
            check_shapes(
                layout.sites[name],
                parts,
                {
                    "down": (rank, width),
                    "down_bias": (rank,),
                    "up": (width, rank),
                    "up_bias": (width,),
                },
            )
        return {**settings, "sites": sorted(weights)}, weights

    def targets(self, config: Mapping[str, Any], layout: Layout) -> Targets:
        return targets(config, layout)

    def write(
        self, config: Mapping[str, Any], weights: Weights, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return content(config, layout), name_tensors(weights, layout)


def _route(site: str, variant: str, layout: Layout) -> Route:
    if variant == "houlsby":
        return of_output
    family = layout.family
    branch = family.sublayers["feed_forward"]
    layer = layout.layer_paths[layout.sites[site].layer]
    norm = branch.norm.format(layer=layer)
    if variant == "parallel":
        return spanning(norm if family.norm_first else branch.input.format(layer=layer))
    if family.norm_first:
        return with_residual(norm)
    return around_norm(norm, partial(layout.apply_norm, norm))


def _one_of(name: str, value: Any, choices: Mapping[str, Any]) -> str:
    if value not in choices:
        raise BadTraining(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
    return str(value)
