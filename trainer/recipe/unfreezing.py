"""Gradual unfreezing: the layers that each epoch trains. First the head alone, then the adapted
layers from the top down in equal stages. Knows settings and the base's layers; trains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.heads import HEADS
from engine.port import EngineInfo
from trainer.errors import BadSetting
from trainer.jobs.values import JobSpec
from trainer.recipe.modules import adapted_layers


def stages_of(spec: JobSpec, info: EngineInfo) -> tuple[int | None, ...]:
    """The lowest trained layer of each of the first epochs; empty without unfreezing."""
    num, bare = spec.settings.unfreeze, HEADS[spec.head].bare
    adapted = adapted_layers(spec.kind, spec.settings, info) if num else []
    return tuple(
        frozen_below(epoch, num, adapted, info.num_layers, bare=bare) for epoch in range(num)
    )


def check_unfreezing(spec: JobSpec, info: EngineInfo | None) -> None:
    """Raises BadSetting where nothing can be unfrozen, or no epoch would train all layers. Without
    `info` the layers of the base are not looked at.
    """
    num = spec.settings.unfreeze
    if not num:
        return
    problem = None
    if spec.kind == "head_only":
        problem = "the kind head_only adapts no layer"
    elif num >= spec.settings.epochs:
        problem = (
            f"epochs is {spec.settings.epochs}, and at least one epoch must train all layers; use "
            "more epochs or unfreeze fewer"
        )
    elif info is None:
        return
    elif not info.ranged:
        problem = f"the layers of the family {info.family} cannot be run separately"
    elif HEADS[spec.head].bare and len(adapted_layers(spec.kind, spec.settings, info)) < 2:
        problem = (
            f"the head {spec.head} has no weights and only one layer is adapted, so there is "
            "nothing to unfreeze"
        )
    if problem:
        raise BadSetting(f"unfreeze is {num}; {problem}.", name="unfreeze")


def frozen_below(
    epoch: int, num_stages: int, adapted: Sequence[int], num_layers: int, *, bare: bool = False
) -> int | None:
    """The lowest layer that `epoch`, counted from 0, trains; None where it trains all.

    A bare head has no weights to train alone, so its first stage includes the top layers.
    """
    if epoch >= num_stages:
        return None
    first = 1 if bare else 0
    num = round(len(adapted) * (epoch + first) / (num_stages + first))
    # a bare head needs at least one layer, and every stage leaves at least one frozen
    num = min(max(num, first), len(adapted) - 1)
    return sorted(adapted)[-num] if num else num_layers
