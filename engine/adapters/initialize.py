"""Initializes a new adapter with its head from a seed; it does not change the base's output yet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.adapters.adapter import Adapter
from engine.adapters.head_layers import checked_head
from engine.errors import BadAdapter, BadTraining
from engine.kinds import KINDS
from engine.model.base import Base
from engine.port import OpenTraining


def initialize_adapter(spec: OpenTraining, base: Base) -> Adapter:
    """Raises BadTraining for settings that this base cannot train."""
    if spec.kind not in KINDS:
        raise BadTraining(
            f"the adapter kind is {spec.kind!r}; this engine trains {', '.join(KINDS)}"
        )
    kind = KINDS[spec.kind]
    config = kind.check(spec.kind_config, base)
    try:
        head, layers = checked_head(spec.head, base)
    except BadAdapter as error:
        raise BadTraining(str(error)) from error
    generator = torch.Generator().manual_seed(
        spec.seed if spec.initial_seed is None else spec.initial_seed
    )
    weights = kind.new_weights(config, base, generator)
    head_weights = layers.new_weights(generator)
    if not head_weights and not any(weights.values()):
        raise BadTraining(
            f"the kind {spec.kind} and the head {head['kind']} have no weights: nothing to train"
        )
    return Adapter(
        kind=spec.kind,
        config=config,
        weights=_to_masters(weights, base),
        head=head,
        head_weights={n: _master(t, base) for n, t in head_weights.items()},
    )


def _to_masters(weights: dict[str, dict[str, Tensor]], base: Base) -> dict[str, dict[str, Tensor]]:
    return {
        site: {part: _master(t, base) for part, t in parts.items()}
        for site, parts in weights.items()
    }


def _master(tensor: Tensor, base: Base) -> Tensor:
    return nn.Parameter(tensor.to(base.numerics.device))
