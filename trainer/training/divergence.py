"""Whether a run is still on its way down: each step's loss and gradient beside what they were of
late. Pure numbers; knows no step and no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

#: steps that say how large loss and gradient usually are
WINDOW = 32
#: a run of fewer steps has no usual size yet
MIN_STEPS = 8
#: so many wild steps in a row are no accident of one hard batch
MAX_WILD = 5
#: how far above the usual, and above the beginning, a loss is wild
LOSS_FACTORS = (3.0, 1.5)
#: gradients differ more from batch to batch
GRADIENT_FACTORS = (20.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceDetector:
    """What the last calm steps were, and how many wild ones came since.

    A step is wild when its loss or its gradient is far above the median of the calm ones and above
    where the run began: late in a run both are so small that any hard batch is far above them.
    """

    #: (loss, gradient norm), the newest last
    calm: tuple[tuple[float, float], ...] = ()
    #: the same at the beginning: medians of the first steps
    began: tuple[float, float] | None = None
    num_wild: int = 0

    @property
    def is_lost(self) -> bool:
        return self.num_wild >= MAX_WILD

    def after(self, loss: float, norm: float) -> DivergenceDetector:
        began = self.began
        if began is None and len(self.calm) == MIN_STEPS:
            began = self._medians()
        if began is not None and self._is_wild(loss, norm, began):
            return replace(self, began=began, num_wild=self.num_wild + 1)
        calm = (*self.calm, (loss, norm))[-WINDOW:]
        return DivergenceDetector(calm=calm, began=began, num_wild=0)

    def words(self, loss: float, norm: float) -> str:
        usual_loss, usual_norm = self._medians()
        return (
            f"loss {loss:.3g} beside a usual {usual_loss:.3g}, gradient {norm:.3g} beside a usual "
            f"{usual_norm:.3g}, for {self.num_wild} steps in a row"
        )

    def _is_wild(self, loss: float, norm: float, began: tuple[float, float]) -> bool:
        usual_loss, usual_norm = self._medians()
        return _far(loss, usual_loss, began[0], LOSS_FACTORS) or _far(
            norm, usual_norm, began[1], GRADIENT_FACTORS
        )

    def _medians(self) -> tuple[float, float]:
        losses, norms = zip(*self.calm, strict=True)
        return median(losses), median(norms)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> DivergenceDetector:
        calm = tuple((loss, norm) for loss, norm in raw["calm"])
        began = None if raw["began"] is None else (raw["began"][0], raw["began"][1])
        return cls(calm=calm, began=began, num_wild=raw["num_wild"])


def _far(value: float, usual: float, began: float, factors: tuple[float, float]) -> bool:
    return value > max(usual * factors[0], began * factors[1])
