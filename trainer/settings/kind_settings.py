"""Which settings belong to which adapter kind. Knows no value of them."""

from __future__ import annotations

KIND_SETTINGS = {
    "lora": (
        "rank", "alpha", "rslora", "dora", "rank_pattern", "alpha_pattern", "lora_bias", "bias",
        "targets", "layers",
    ),
    "bottleneck": ("variant", "reduction", "activation", "scaling", "layers"),
    "ia3": ("targets", "feedforward", "layers"),
    "bias": ("targets", "layers"),
    "head_only": (),
}  # fmt: skip
#: where a kind acts, rather than what it is
OF_ANY_KIND = ("targets", "layers")
