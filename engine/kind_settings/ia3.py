"""The settings of a new (IA)³ adapter."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from engine.kind_settings.kind_settings import KindSettings, Layers, ModuleName, Targets


class Ia3Settings(KindSettings, frozen=True):
    """Learned scales of linears."""

    default_learning_rate: ClassVar[float] = 1e-2
    usual_learning_rates: ClassVar[tuple[float, float]] = (5e-4, 5e-2)

    targets: Targets = None
    feedforward: tuple[ModuleName, ...] | None = Field(
        default=None,
        description="those `targets` of an `ia3` whose input is scaled; default: those of (IA)³",
    )
    layers: Layers = "all"
