"""The settings of a new bottleneck adapter."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.kind_settings.kind_settings import KindSettings, Layers

_REDUCTIONS = (8, 16, 32)


class BottleneckSettings(KindSettings):
    """A small two-layer network at sublayers."""

    default_learning_rate: ClassVar[float] = 1e-3
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-4, 1e-2)

    variant: Literal["houlsby", "pfeiffer", "parallel"] | None = Field(
        None, description="of a `bottleneck`; none: houlsby, two per layer"
    )
    reduction: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="a `bottleneck` is hidden size / reduction wide; none: its variant's own",
    )
    activation: (
        Literal["relu", "gelu", "gelu_new", "swish", "silu", "tanh", "sigmoid", "leakyrelu"] | None
    ) = Field(None, description="of a `bottleneck`; none: its variant's own")
    scaling: float | None = Field(
        None,
        ge=1e-3,
        le=1e3,
        description="what a `bottleneck` adds is multiplied by this; none: its variant's own",
    )
    layers: Layers = None

    def search_space(self, hidden_size: int) -> dict[str, list[Any]]:
        return {"reduction": [size for size in _REDUCTIONS if size <= hidden_size]}
