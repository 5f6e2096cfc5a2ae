"""Gradual unfreezing: which layers an epoch trains. The head alone first, then the adapted layers
from the top down in equal stages. Knows settings and the base's layers; computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.heads import HEADS
from engine.port import EngineInfo
from trainer.errors import BadSetting
from trainer.jobs.values import JobSpec
from trainer.recipe.modules import adapted_layers


def stages_of(spec: JobSpec, info: EngineInfo) -> tuple[int | None, ...]:
    """Of the first epochs; none where all that is adapted is trained from the beginning."""
    num, bare = spec.settings.unfreeze, HEADS[spec.head].bare
    adapted = adapted_layers(spec.kind, spec.settings, info) if num else []
    return tuple(
        frozen_below(epoch, num, adapted, info.num_layers, bare=bare) for epoch in range(num)
    )


def check_unfreezing(spec: JobSpec, info: EngineInfo) -> None:
    """Raises BadSetting where there is nothing to unfreeze, or no epoch left to train it all."""
    num = spec.settings.unfreeze
    if not num:
        return
    problem = None
    if spec.kind == "head_only":
        problem = "a head_only adapts no layer"
    elif not info.ranged:
        problem = f"layers of the {info.family} family cannot be run apart"
    elif num >= spec.settings.epochs:
        problem = f"there are {spec.settings.epochs} epochs, and one is to train all layers"
    elif HEADS[spec.head].bare and len(adapted_layers(spec.kind, spec.settings, info)) < 2:
        problem = f"the head {spec.head} has no weights, and one layer is adapted"
    if problem:
        raise BadSetting(f"unfreeze is {num}; {problem}.", name="unfreeze")


def frozen_below(
    epoch: int, num_stages: int, adapted: Sequence[int], num_layers: int, *, bare: bool = False
) -> int | None:
    """The lowest layer that `epoch`, counted from 0, trains; none where it trains all there is.

    A bare head has no weights that could be trained alone, so the top layers begin with it.
    """
    if epoch >= num_stages:
        return None
    first = 1 if bare else 0
    num = round(len(adapted) * (epoch + first) / (num_stages + first))
    # of a bare head at least one layer, and always one less than all: else it is no stage
    num = min(max(num, first), len(adapted) - 1)
    return sorted(adapted)[-num] if num else num_layers
