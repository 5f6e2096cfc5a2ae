"""The settings of every adapter kind: names, types, ranges, defaults, help texts, search space.

One file per kind, and one line in `KIND_SETTINGS`. Each class is a pydantic model, so that a form
with the settings of all kinds inherits from all of them:

    class TrainingSettings(LoraSettings, BottleneckSettings, Ia3Settings, BiasSettings): ...

and reads a kind's part by `KIND_SETTINGS[kind].names()`, `.default_learning_rate`,
`.usual_learning_rates` and `KIND_SETTINGS[kind].search_space(settings, hidden_size)`. The engine
names settings as they are named here (`OpenTraining.kind_config`). Torch-free.
"""

from __future__ import annotations

from engine.kind_settings.bias import BiasSettings
from engine.kind_settings.bottleneck import BottleneckSettings
from engine.kind_settings.head_only import HeadOnlySettings
from engine.kind_settings.ia3 import Ia3Settings
from engine.kind_settings.kind_settings import PLACEMENT, KindSettings
from engine.kind_settings.lora import LoraSettings

KIND_SETTINGS: dict[str, type[KindSettings]] = {
    "lora": LoraSettings,
    "bottleneck": BottleneckSettings,
    "ia3": Ia3Settings,
    "bias": BiasSettings,
    "head_only": HeadOnlySettings,
}

__all__ = [
    "KIND_SETTINGS",
    "PLACEMENT",
    "BiasSettings",
    "BottleneckSettings",
    "HeadOnlySettings",
    "Ia3Settings",
    "KindSettings",
    "LoraSettings",
]
