"""The state of a run between two steps as plain data: what it needs, beside the slot's weights, to
continue as if it had never stopped. Knows neither the engine nor what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.training.divergence import DivergenceDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one pass came to."""

    number: int
    loss: float
    dev: dict[str, Any]
    best: bool
    #: mean over the dev rows, where the head has one
    dev_loss: float | None = None
    #: the task's metric on dev, the higher the better
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """A run between two steps."""

    #: the next step, counted from 0 over all epochs
    step: int = 0
    #: sum of the losses since the epoch that has begun began
    loss_sum: float = 0.0
    epochs: tuple[Epoch, ...] = ()
    #: the best dev score so far, the higher the better; none before the first
    best: tuple[float, ...] | None = None
    #: epochs since then
    stale: int = 0
    divergence: DivergenceDetector = field(default_factory=DivergenceDetector)

    def to_json(self) -> dict[str, Any]:
        """As checkpoints store it."""
        fields = asdict(self)
        del fields["divergence"]
        return {**fields, "steadiness": self.divergence.to_json()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LoopState:
        epochs = tuple(Epoch(**each) for each in raw["epochs"])
        best = None if raw["best"] is None else tuple(raw["best"])
        divergence = DivergenceDetector.from_json(raw["steadiness"])
        fields = {name: value for name, value in raw.items() if name != "steadiness"}
        return cls(**{**fields, "epochs": epochs, "best": best, "divergence": divergence})
