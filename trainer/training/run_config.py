"""What one run trains on and how. Knows no slot and no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.dataset.batches import num_batches
from trainer.heads.encoded import EncodedRow
from trainer.settings.schedule import Schedule
from trainer.settings.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What to train on and how."""

    train: list[EncodedRow]
    dev: list[EncodedRow]
    head: dict[str, Any]
    settings: TrainingSettings
    learning_rate: float
    #: the fraction of the base's layers below the lowest adapted layer
    frozen_share: float = 0.0
    #: the lowest layer that each of the first epochs trains; later epochs train all adapted layers
    stages: tuple[int | None, ...] = ()

    def frozen_below(self, epoch: int) -> int | None:
        """The lowest layer that an epoch (from 0) trains; None if it trains all adapted layers."""
        return self.stages[epoch] if epoch < len(self.stages) else None

    @property
    def steps_per_epoch(self) -> int:
        return num_batches(len(self.train), self.settings.batch_rows)

    @property
    def num_steps(self) -> int:
        return self.settings.epochs * self.steps_per_epoch

    @property
    def schedule(self) -> Schedule:
        return Schedule(
            peak=self.learning_rate,
            num_steps=self.num_steps,
            warmup_share=self.settings.warmup_share,
            shape=self.settings.schedule,
        )
