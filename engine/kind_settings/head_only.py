"""A head on the bare base has no settings of an adapter."""

from __future__ import annotations

from typing import ClassVar

from engine.kind_settings.kind_settings import KindSettings


class HeadOnlySettings(KindSettings, frozen=True):
    """No adapter at all."""

    default_learning_rate: ClassVar[float] = 5e-3
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-4, 5e-2)
