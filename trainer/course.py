"""What one run trains on and how. Knows no slot and no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.batches import num_batches
from trainer.encode import EncodedRow
from trainer.schedule import Schedule
from trainer.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What to train on and how."""

    train: list[EncodedRow]
    dev: list[EncodedRow]
    head: dict[str, Any]
    settings: TrainingSettings
    learning_rate: float

    @property
    def steps_per_epoch(self) -> int:
        return num_batches(len(self.train), self.settings.batch_rows)

    @property
    def num_steps(self) -> int:
        return self.settings.epochs * self.steps_per_epoch

    @property
    def num_evaluations(self) -> int:
        return self.settings.epochs if self.dev else 0

    @property
    def schedule(self) -> Schedule:
        return Schedule(
            peak=self.learning_rate,
            num_steps=self.num_steps,
            warmup_share=self.settings.warmup_share,
            shape=self.settings.schedule,
        )
