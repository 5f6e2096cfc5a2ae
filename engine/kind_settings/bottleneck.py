"""The settings of a new bottleneck adapter."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.kind_settings.kind_settings import KindSettings, Layers
from engine.kind_settings.number_types import Real, Whole

_REDUCTIONS = (8, 16, 32)


class BottleneckSettings(KindSettings, frozen=True):
    """A small two-layer network at sublayers."""

    default_learning_rate: ClassVar[float] = 1e-3
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-4, 1e-2)

    variant: Literal["houlsby", "pfeiffer", "parallel"] | None = Field(
        default=None, description="variant of a `bottleneck`; default: houlsby, two per layer"
    )
    reduction: Whole | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="a `bottleneck` is hidden size / reduction wide; default: set by its variant",
    )
    activation: (
        Literal["relu", "gelu", "gelu_new", "swish", "silu", "tanh", "sigmoid", "leakyrelu"] | None
    ) = Field(default=None, description="activation of a `bottleneck`; default: set by its variant")
    scaling: Real | None = Field(
        default=None,
        ge=1e-3,
        le=1e3,
        description="factor on the output of a `bottleneck`; default: set by its variant",
    )
    layers: Layers = "all"

    def search_space(self, hidden_size: int) -> dict[str, list[Any]]:
        return {"reduction": [size for size in _REDUCTIONS if size <= hidden_size]}
