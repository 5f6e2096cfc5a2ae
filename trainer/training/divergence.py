"""Whether a run diverges: compares the loss and gradient norm of each step with those of recent
steps. Pure numbers; knows no step and no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

#: stable steps that the usual loss and gradient norm are the medians of
WINDOW = 32
#: before this many steps nothing is usual yet
MIN_STEPS = 8
#: this many spikes in a row are not the accident of one hard batch
MAX_SPIKES = 5
#: a loss is a spike above the usual loss and the initial loss, each times its factor
LOSS_FACTORS = (3.0, 1.5)
#: gradients differ more from batch to batch
GRADIENT_FACTORS = (20.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceDetector:
    """The last stable steps, and how many spikes came since.

    A step is a spike when its loss or its gradient norm is far above the median of the stable steps
    and above its value at the beginning of the run: late in a run both are so small that any hard
    batch is far above the median alone.
    """

    #: (loss, gradient norm), the newest last
    stable: tuple[tuple[float, float], ...] = ()
    #: the same at the beginning of the run: medians of the first steps
    began: tuple[float, float] | None = None
    num_spikes: int = 0

    @property
    def diverged(self) -> bool:
        return self.num_spikes >= MAX_SPIKES

    def after(self, loss: float, norm: float) -> DivergenceDetector:
        began = self.began
        if began is None and len(self.stable) == MIN_STEPS:
            began = self._medians()
        if began is not None and self._is_spike(loss, norm, began):
            return replace(self, began=began, num_spikes=self.num_spikes + 1)
        stable = (*self.stable, (loss, norm))[-WINDOW:]
        return DivergenceDetector(stable=stable, began=began, num_spikes=0)

    def describe(self, loss: float, norm: float) -> str:
        usual_loss, usual_norm = self._medians()
        return (
            f"loss {loss:.3g} beside a usual {usual_loss:.3g}, gradient norm {norm:.3g} beside a "
            f"usual {usual_norm:.3g}, for {self.num_spikes} steps in a row"
        )

    def _is_spike(self, loss: float, norm: float, began: tuple[float, float]) -> bool:
        usual_loss, usual_norm = self._medians()
        return _far(loss, usual_loss, began[0], LOSS_FACTORS) or _far(
            norm, usual_norm, began[1], GRADIENT_FACTORS
        )

    def _medians(self) -> tuple[float, float]:
        losses, norms = zip(*self.stable, strict=True)
        return median(losses), median(norms)

    def to_json(self) -> dict[str, Any]:
        """Under the keys that checkpoints have."""
        return {"calm": self.stable, "began": self.began, "num_wild": self.num_spikes}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> DivergenceDetector:
        stable = tuple((loss, norm) for loss, norm in raw["calm"])
        began = None if raw["began"] is None else (raw["began"][0], raw["began"][1])
        return cls(stable=stable, began=began, num_spikes=raw["num_wild"])


def _far(value: float, usual: float, began: float, factors: tuple[float, float]) -> bool:
    return value > max(usual * factors[0], began * factors[1])
