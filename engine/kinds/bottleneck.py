"""Bottleneck adapters: `h + up(act(down(h)))` on a sublayer's output, two per layer.

Houlsby et al. 2019, arXiv 1902.00751.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import BadAdapter, BadTraining, NoMatchingSite
from engine.kinds.adapter_kind import Layout, Weights, check_shapes, chosen_layers, positive
from engine.product import LowRank

_KEY = re.compile(r"(?P<site>.+)\.bottleneck_(?P<part>down|up)\.(?P<kind>weight|bias)")
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu, "gelu": functional.gelu, "swish": functional.silu, "tanh": torch.tanh,
}  # fmt: skip
_INIT_STD = 0.01  # near the identity, as the paper starts


class BottleneckKind:
    """A small two-layer network after each sublayer, before its residual and norm."""

    name = "bottleneck"
    reads_output = True

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        reduction = positive(config, "reduction", 16, layout.hidden_size)
        activation = config.get("activation") or "swish"
        if activation not in _ACTIVATIONS:
            raise BadTraining(
                f"activation is {activation!r}; it must be one of {', '.join(_ACTIVATIONS)}"
            )
        layers = chosen_layers(config, layout.num_layers)
        sites = [path for path, site in layout.sublayers.items() if site.layer in layers]
        return {"reduction": reduction, "activation": activation, "sites": sites}

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        weights: Weights = {}
        for name in config["sites"]:
            width = layout.sublayers[name].out_features
            rank = max(1, width // int(config["reduction"]))
            down = torch.empty(rank, width).normal_(0, _INIT_STD, generator=generator)
            weights[name] = {
                "down": down, "down_bias": torch.zeros(rank),
                "up": torch.zeros(width, rank), "up_bias": torch.zeros(width),
            }  # fmt: skip
        return weights

    def low_rank(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], dtype: torch.dtype
    ) -> LowRank:
        del site, config
        return LowRank(
            down_KI=parts["down"].to(dtype), up_KO=parts["up"].T.to(dtype).contiguous(),
            down_bias_K=parts["down_bias"].to(dtype), up_bias_O=parts["up_bias"].to(dtype),
        )  # fmt: skip

    def activation(
        self, config: Mapping[str, Any]
    ) -> tuple[str, Callable[[Tensor], Tensor] | None]:
        return config["activation"], _ACTIVATIONS[config["activation"]]

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        activation = config.get("activation")
        if activation not in _ACTIVATIONS:
            raise BadAdapter(
                f"the activation is {activation!r}; this engine serves {', '.join(_ACTIVATIONS)}"
            )
        weights = _group(tensors)
        unknown = sorted(set(weights) - set(layout.sublayers))
        if unknown or not weights:
            raise NoMatchingSite(
                f"{len(weights) - len(unknown)} of {len(weights)} bottlenecks sit at sublayers of "
                f"this base; it has no {', '.join(unknown[:3]) or 'bottleneck at all'}, "
                f"only sublayers such as {min(layout.sublayers)}"
            )
        for name, parts in weights.items():
            width = layout.sublayers[name].out_features
            rank = parts["down"].shape[0] if "down" in parts else None
            check_shapes(
                layout.sublayers[name], parts, {
                    "down": (rank, width), "down_bias": (rank,),
                    "up": (width, rank), "up_bias": (width,),
                },
            )  # fmt: skip
        kept = {
            "reduction": config.get("reduction"),
            "activation": activation,
            "sites": sorted(weights),
        }
        return kept, weights

    def write(
        self, config: Mapping[str, Any], weights: Weights
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        content = {
            "adapterd_kind": self.name, "reduction": config["reduction"],
            "activation": config["activation"], "sites": list(config["sites"]),
        }  # fmt: skip
        tensors = {
            f"{site}.{_key(part)}": t
            for site, parts in weights.items()
            for part, t in parts.items()
        }
        return content, tensors


def _key(part: str) -> str:
    name, _, bias = part.partition("_")
    return f"bottleneck_{name}.{bias or 'weight'}"


def _group(tensors: Mapping[str, Tensor]) -> Weights:
    weights: Weights = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise BadAdapter(
                f"the adapter holds {key}, which is neither a bottleneck nor a head of this base"
            )
        part = match["part"] if match["kind"] == "weight" else f"{match['part']}_bias"
        weights.setdefault(match["site"], {})[part] = tensor.float()
    return weights
