"""How many rows a batch has and how many epochs a run, so that rows make enough optimizer steps.

The figures are measured (docs/training.md, "What to set when"). Decides from counts only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.heads import is_generation
from engine.heads.embed import EmbedHead
from trainer.dataset.batches import num_batches
from trainer.jobs.values import JobSpec
from trainer.settings.presets import PresetName
from trainer.settings.settings import BY_ROWS, plain_settings

_SMALLEST_BATCH = 8
_MOST_EPOCHS = 40
#: of its epochs, that a run may go on without an improvement
_PATIENCE_SHARE = 1 / 3


class Steps(NamedTuple):
    """Of all epochs together."""

    #: with so many a batch is not halved; an epoch more costs less than twice as many steps
    keep_batch: int
    #: until there are so many, epochs are added
    enough: int


_STEPS: Mapping[PresetName, Steps] = {
    "fast": Steps(keep_batch=100, enough=100),
    "balanced": Steps(keep_batch=200, enough=250),
    "thorough": Steps(keep_batch=200, enough=250),
}


def choose_steps(spec: JobSpec, num_rows: int) -> dict[str, Any]:
    """The settings to change for so many training rows, of those that are free: not named, and as
    the preset has them. Empty where texts are generated, whose evaluation costs more than steps.
    """
    if is_generation(spec.head):
        return {}
    settings, plain = spec.settings, plain_settings(spec.settings)
    free = {
        name
        for name in BY_ROWS
        if name not in spec.chosen and getattr(settings, name) == getattr(plain, name)
    }
    steps = _STEPS[settings.preset]
    batch_rows, epochs, patience = settings.batch_rows, settings.epochs, settings.patience
    # the other rows of a batch are the wrong answers that `embed` learns from
    if spec.head != EmbedHead.name and "batch_rows" in free:
        while batch_rows > _SMALLEST_BATCH and (
            num_batches(num_rows, batch_rows) * epochs < steps.keep_batch
        ):
            batch_rows //= 2
    per_epoch = num_batches(num_rows, batch_rows)
    if "epochs" in free:
        epochs = max(epochs, min(_MOST_EPOCHS, -(-steps.enough // per_epoch)))
    if "patience" in free and epochs > settings.epochs:
        patience = max(patience, round(_PATIENCE_SHARE * epochs))
    recipe = {"batch_rows": batch_rows, "epochs": epochs, "patience": patience}
    return {name: value for name, value in recipe.items() if value != getattr(settings, name)}
