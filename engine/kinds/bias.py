"""Bias only: one learned shift per output of a linear (BitFit, Ben Zaken et al. 2021,
arXiv 2106.10199), as a difference from the base's own bias, in the files of PEFT's BEFT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadAdapter
from engine.kinds.adapter_kind import (
    Layout,
    PeftTargets,
    Weights,
    check_names,
    check_shapes,
    check_sites,
    chosen_sites,
)
from engine.sites.effect import Effect

_SUFFIX = ".beft_bias"


class BiasKind(PeftTargets):
    """Shifts of linears' outputs, whether the base has a bias there or not."""

    name = "bias"

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        check_names(config, self.name)
        return {"sites": chosen_sites(config, layout, None)}

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        del generator
        widths = {name: layout.sites[name].out_features for name in config["sites"]}
        return {name: {"shift": torch.zeros(width)} for name, width in widths.items()}

    def effect(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], layout: Layout
    ) -> Effect:
        del site, config
        return Effect(shift_O=parts["shift"].to(layout.dtype))

    def group(self, config: Mapping[str, Any]) -> str:
        del config
        return self.name

    def activation(self, config: Mapping[str, Any]) -> None:
        del config

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        del config
        strange = [key for key in tensors if not key.endswith(_SUFFIX)]
        if strange:
            raise BadAdapter(
                f"the adapter holds {strange[0]}, which is neither a bias nor a head of this base"
            )
        weights: Weights = {
            key.removesuffix(_SUFFIX): {"shift": tensor.float()} for key, tensor in tensors.items()
        }
        check_sites(weights, layout)
        for site, parts in weights.items():
            check_shapes(layout.sites[site], parts, {"shift": (1, layout.sites[site].out_features)})
            parts["shift"] = parts["shift"][0]
        return {"sites": sorted(weights)}, weights

    def write(
        self, config: Mapping[str, Any], weights: Weights, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        del layout
        content = {
            "peft_type": "BEFT",
            "target_modules": list(config["sites"]),
            "inference_mode": True,
        }
        return content, {
            f"{site}{_SUFFIX}": parts["shift"][None] for site, parts in weights.items()
        }
