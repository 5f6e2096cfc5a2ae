"""ModernBERT: rotary positions, local and global attention, norms before each sublayer.

What its stock heads hold and read is a matter of the base's own config.
"""

from collections.abc import Mapping
from typing import Any

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer


def _heads(config: Any) -> Mapping[str, NativeHead]:
    layers = (
        HeadLayer(
            name="head.dense",
            activation=config.classifier_activation,
            bias=config.classifier_bias,
            norm="head.norm",
            norm_bias=config.norm_bias,
            norm_eps=config.norm_eps,
        ),
        HeadLayer(name="classifier"),
    )
    row = NativeHead(
        layers=layers, position="mean" if config.classifier_pooling == "mean" else "first"
    )
    token = NativeHead(layers=layers)
    return {"classify": row, "regress": row, "tag": token, "span": token}


MODERNBERT = Family(
    name="modernbert",
    model_types=("modernbert",),
    prefix="model",
    layers="layers",
    sublayers={
        "attention": Sublayer(
            input="{layer}.attn", output="{layer}.attn.Wo", norm="{layer}.attn_norm"
        ),
        "feed_forward": Sublayer(
            input="{layer}.mlp", output="{layer}.mlp.Wo", norm="{layer}.mlp_norm"
        ),
    },
    configured_heads=_heads,
    norm_first=True,
    attention_reads=("attn_norm", "attn"),
    final_norm="final_norm",
    token_types=False,
)
