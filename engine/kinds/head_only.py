"""No adapter: a task head on the frozen base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadAdapter
from engine.kinds.adapter_kind import Layout, PeftTargets, Weights, check_names
from engine.sites.effect import Effect


class HeadOnlyKind(PeftTargets):
    """A version whose only weights are its head's."""

    name = "head_only"

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        del layout
        check_names(config, self.name)
        return {"sites": []}

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        del config, layout, generator
        return {}

    def effect(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], layout: Layout
    ) -> Effect:
        del parts, config, layout
        raise AssertionError(f"a head alone has no effect at {site}")

    def group(self, config: Mapping[str, Any]) -> str:
        del config
        return self.name

    def activation(self, config: Mapping[str, Any]) -> None:
        del config

    def targets(self, config: Mapping[str, Any], layout: Layout) -> None:
        del config, layout

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        del config, layout
        if tensors:
            raise BadAdapter(
                f"the adapter holds {min(tensors)}; a version of the kind {self.name} has only "
                "the weights of a head of this base"
            )
        return {"sites": []}, {}

    def write(
        self, config: Mapping[str, Any], weights: Weights, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        del config, weights, layout
        return {"adapterd_kind": self.name}, {}
