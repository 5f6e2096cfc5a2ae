"""A training slot of the fake engine: its model, the best so far, and both as a checkpoint.

NumPy only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from engine import port
from engine.atomic_files import atomic_directory
from engine.errors import BadCheckpoint, BadTraining, CheckpointFailed
from engine.testing.bag_model import BagModel

_TENSORS, _SLOT = "model.safetensors", "slot.json"


@dataclass(slots=True, kw_only=True)
class BagTraining:
    """What one slot learns."""

    spec: dict[str, Any]
    model: BagModel
    best: BagModel
    num_steps: int = 0

    @classmethod
    def from_step(cls, step: port.OpenTraining) -> BagTraining:
        spec = msgspec.to_builtins(step)
        spec.pop("resume", None)
        model = BagModel.zeros(step.head)
        training = cls(spec=spec, model=model, best=model.copy())
        if step.resume is not None:
            training.go_on(Path(step.resume))
        return training

    def learn(self, step: port.Train) -> port.Trained:
        self.num_steps += 1
        return self.model.learn(step)

    def average(self, others: Sequence[BagTraining]) -> None:
        models = [other.model for other in others]
        if any(model.head != self.model.head for model in models):
            raise BadTraining("trainings that are averaged have the same head")
        self.model.weight = np.mean([model.weight for model in models], axis=0)
        self.model.bias = np.mean([model.bias for model in models], axis=0)

    def checkpoint(self, directory: Path) -> port.Checkpointed:
        """Raises CheckpointFailed, and leaves nothing then."""
        tensors = {
            "weight": self.model.weight,
            "bias": self.model.bias,
            "best.weight": self.best.weight,
            "best.bias": self.best.bias,
        }
        try:
            with atomic_directory(directory) as part:
                save_file(tensors, part / _TENSORS)
                slot = {"num_steps": self.num_steps, "training": self.spec}
                (part / _SLOT).write_text(json.dumps(slot))
                num_bytes = sum(file.stat().st_size for file in part.iterdir())
        except OSError as error:
            raise CheckpointFailed(f"the checkpoint could not be written: {error}") from error
        return port.Checkpointed(num_steps=self.num_steps, num_bytes=num_bytes)

    def go_on(self, directory: Path) -> None:
        """Raises BadCheckpoint."""
        try:
            slot = json.loads((directory / _SLOT).read_bytes())
            tensors = load_file(directory / _TENSORS)
        except (OSError, ValueError, SafetensorError) as error:
            raise BadCheckpoint(f"the checkpoint cannot be read: {error}") from error
        if slot["training"] != self.spec:
            raise BadCheckpoint("the checkpoint is one of another training")
        self.num_steps = slot["num_steps"]
        for model, prefix in ((self.model, ""), (self.best, "best.")):
            model.weight, model.bias = tensors[f"{prefix}weight"], tensors[f"{prefix}bias"]
