"""Phi-3: query, key and value in one linear, gate and up in another; the stock head reads the last
token.
"""

from engine.families.family import (
    LAST_TOKEN,
    WRITTEN,
    Family,
    HeadLayer,
    NativeHead,
    Sublayer,
)

PHI3 = Family(
    name="phi3",
    model_types=("phi3",),
    architecture="decoder",
    prefix="model",
    layers="layers",
    sublayers={
        "attention": Sublayer(
            input="{layer}.self_attn.qkv_proj",
            output="{layer}.self_attn.o_proj",
            norm="{layer}.input_layernorm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.mlp",
            output="{layer}.mlp.down_proj",
            norm="{layer}.post_attention_layernorm",
        ),
    },
    native_heads={
        "classify": LAST_TOKEN,
        "regress": LAST_TOKEN,
        "tag": NativeHead(layers=(HeadLayer(name="score"),)),
        "generate": WRITTEN,
    },
    norm_first=True,
    token_types=False,
)
