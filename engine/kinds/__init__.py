"""The table of adapter kinds.

A new kind is one file here and one line in `KINDS`; siblings do not know each other.
"""

from engine.kinds.adapter_kind import AdapterKind, Layout, Weights
from engine.kinds.bottleneck import BottleneckKind
from engine.kinds.lora import LoraKind

KINDS: dict[str, AdapterKind] = {kind.name: kind for kind in (LoraKind(), BottleneckKind())}

__all__ = ["KINDS", "AdapterKind", "Layout", "Weights"]
