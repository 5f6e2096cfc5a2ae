"""GPT-NeoX and Pythia: both branches of a layer read the same input; query, key and value in one
linear, interleaved by head.
"""

from engine.families.family import (
    LAST_TOKEN,
    WRITTEN,
    Family,
    HeadLayer,
    NativeHead,
    Sublayer,
)

GPT_NEOX = Family(
    name="gpt_neox",
    model_types=("gpt_neox",),
    architecture="decoder",
    prefix="gpt_neox",
    layers="layers",
    sublayers={
        "attention": Sublayer(
            input="{layer}.attention.query_key_value",
            output="{layer}.attention.dense",
            norm="{layer}.input_layernorm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.mlp",
            output="{layer}.mlp.dense_4h_to_h",
            norm="{layer}.post_attention_layernorm",
        ),
    },
    native_heads={
        "classify": LAST_TOKEN,
        "regress": LAST_TOKEN,
        "tag": NativeHead(layers=(HeadLayer(name="classifier"),)),
        "generate": WRITTEN,
    },
    norm_first=True,
    token_types=False,
)
