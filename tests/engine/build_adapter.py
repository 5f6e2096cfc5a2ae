"""An adapter with random weights, made on the CPU as a file's are."""

from __future__ import annotations

from typing import Any

import torch

from engine.adapters.adapter import Adapter
from engine.adapters.head_layers import HeadLayers
from engine.heads import find_head
from engine.kinds import KINDS
from engine.model.base import Base


def new_adapter(
    base: Base, kind: str, config: dict[str, Any], head: dict[str, Any], seed: int = 1
) -> Adapter:
    settings = KINDS[kind].check(dict(config), base)
    checked = find_head(head).check(head)
    generator = torch.Generator().manual_seed(seed)
    layers = HeadLayers(checked, base.family, base.hidden_size)
    return Adapter(
        kind=kind,
        config=settings,
        weights=KINDS[kind].new_weights(settings, base, generator),
        head=checked,
        head_weights=layers.new_weights(generator),
    )
