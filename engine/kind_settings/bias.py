"""The settings of a new adapter of biases: only where it acts."""

from __future__ import annotations

from typing import ClassVar

from engine.kind_settings.kind_settings import KindSettings, Layers, Targets


class BiasSettings(KindSettings, frozen=True):
    """One learned shift per output of a linear."""

    default_learning_rate: ClassVar[float] = 5e-3
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-4, 3e-2)

    targets: Targets = None
    layers: Layers = "all"
