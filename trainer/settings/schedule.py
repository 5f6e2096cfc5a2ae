"""The learning rate of each step, and the warning about an unusual peak rate. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.kind_settings import KIND_SETTINGS

#: how the rate falls after the warm-up
Shape = Literal["linear", "cosine", "constant"]
#: usual for full fine-tuning; an adapter hardly leaves its initial weights with it
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
    low, high = KIND_SETTINGS[kind].usual_learning_rates
    if low <= rate <= high:
        return None
    usual = f"{kind} usually learns with {low:g} to {high:g}"
    default = KIND_SETTINGS[kind].default_learning_rate
    remedy = f"Leave learning_rate out to train with {default:g}."
    full_low, full_high = FULL_LEARNING_RATES
    if full_low <= rate <= full_high:
        return (
            f"The learning rate {rate:g} belongs to full fine-tuning ({full_low:g} to "
            f"{full_high:g}); {usual}, and would hardly learn. {remedy}"
        )
    side = "above" if rate > high else "below"
    return f"The learning rate {rate:g} is {side} the usual range: {usual}. {remedy}"
