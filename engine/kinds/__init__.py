"""The table of adapter kinds.

A new kind is one file here and one line in `KINDS`; siblings do not know each other.
"""

from engine.kinds.adapter_kind import AdapterKind, Layout, Weights
from engine.kinds.bias import BiasKind
from engine.kinds.bottleneck import BottleneckKind
from engine.kinds.head_only import HeadOnlyKind
from engine.kinds.ia3 import Ia3Kind
from engine.kinds.lora import LoraKind

KINDS: dict[str, AdapterKind] = {
    kind.name: kind
    for kind in (LoraKind(), BottleneckKind(), Ia3Kind(), BiasKind(), HeadOnlyKind())
}

__all__ = ["KINDS", "AdapterKind", "Layout", "Weights"]
