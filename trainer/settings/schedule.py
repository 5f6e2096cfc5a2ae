"""The learning rate of each step, and what a kind wants when nobody says. Pure numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: how the rate falls after the warm-up
Shape = Literal["linear", "cosine", "constant"]
#: adapters want about ten times what full fine-tuning wants, and the fewer weights the more
DEFAULT_LEARNING_RATES = {
    "lora": 1e-3, "bottleneck": 1e-3, "ia3": 1e-2, "bias": 5e-3, "head_only": 5e-3,
}  # fmt: skip
#: where the kinds usually learn, in the literature and in our own trials
SANE_LEARNING_RATES = {
    "lora": (1e-4, 1e-2), "bottleneck": (1e-4, 1e-2), "ia3": (5e-4, 5e-2), "bias": (1e-4, 3e-2),
    "head_only": (1e-4, 5e-2),
}  # fmt: skip
#: of all weights at once; with it an adapter hardly leaves its beginning
FULL_LEARNING_RATES = (1e-5, 5e-5)
#: what is left of the peak at a share of the way from the warm-up to the end
_DECAYS: dict[Shape, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "constant": lambda _: 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A linear rise over the warm-up, then a fall to zero after the last step, or none."""

    peak: float
    num_steps: int
    warmup_share: float
    shape: Shape = "linear"

    def rate(self, step: int) -> float:
        """`step` counts from 0."""
        num_warmup = max(1, round(self.num_steps * self.warmup_share)) if self.warmup_share else 0
        if step < num_warmup:
            return self.peak * (step + 1) / num_warmup
        share = (step - num_warmup) / max(1, self.num_steps - num_warmup)
        return self.peak * _DECAYS[self.shape](share)


def learning_rate_warning(kind: str, rate: float) -> str | None:
    """A sentence where the rate is outside what the kind usually learns with."""
    low, high = SANE_LEARNING_RATES[kind]
    if low <= rate <= high:
        return None
    usual = f"{kind} usually learns with {low:g} to {high:g}"
    full_low, full_high = FULL_LEARNING_RATES
    if full_low <= rate <= full_high:
        return (
            f"The learning rate {rate:g} belongs to full fine-tuning ({full_low:g} to "
            f"{full_high:g}); {usual}, and would hardly move."
        )
    return f"The learning rate {rate:g} is {'above' if rate > high else 'below'} it: {usual}."
