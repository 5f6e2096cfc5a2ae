"""The presets: settings that go together, by how much training a version is worth. The figures
behind them are in docs/training.md, "What to set when". Knows names of settings; checks no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

PresetName = Literal["fast", "balanced", "thorough"]


#: the settings that a preset changes, the cheapest first. Those that a caller names have the
#: caller's values; `balanced` is the default, so its settings are the defaults of the settings
PRESETS: Mapping[PresetName, Mapping[str, Any]] = {
    "fast": {"layers": "half"},
    "balanced": {},
    "thorough": {"seeds": 3, "average_seeds": True},
}
#: the mean difference to `balanced` over the sets of benchmarks/defaults
MEASURED: Mapping[PresetName, str] = {
    "fast": "about 2 points below balanced",
    "balanced": "the default",
    "thorough": "about as balanced; its spread over seeds is known",
}
