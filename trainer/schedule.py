"""The learning rate of each step, and what a kind wants when nobody says. Pure numbers."""

from __future__ import annotations

from dataclasses import dataclass

#: adapters want about ten times what full fine-tuning wants, and the fewer weights the more
DEFAULT_LEARNING_RATES = {
    "lora": 1e-3, "bottleneck": 1e-3, "ia3": 1e-2, "bias": 5e-3, "head_only": 5e-3,
}  # fmt: skip
SANE_LEARNING_RATES = (5e-5, 1e-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A linear rise over the warm-up, then a linear fall to zero after the last step."""

    peak: float
    num_steps: int
    warmup_share: float

    def rate(self, step: int) -> float:
        """`step` counts from 0."""
        num_warmup = max(1, round(self.num_steps * self.warmup_share)) if self.warmup_share else 0
        if step < num_warmup:
            return self.peak * (step + 1) / num_warmup
        return self.peak * (self.num_steps - step) / max(1, self.num_steps - num_warmup)


def learning_rate_warning(rate: float) -> str | None:
    """A sentence where the rate is outside what adapters usually learn with."""
    low, high = SANE_LEARNING_RATES
    if low <= rate <= high:
        return None
    return f"The learning rate {rate:g} is outside {low:g}…{high:g}, where adapters usually learn."
