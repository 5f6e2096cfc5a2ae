"""OPT: learned positions with an offset of the model's own; the stock head reads the last token."""

from engine.families.family import (
    LAST_TOKEN,
    WRITTEN,
    Family,
    HeadLayer,
    NativeHead,
    Sublayer,
)

OPT = Family(
    name="opt",
    model_types=("opt",),
    architecture="decoder",
    prefix="model",
    layers="decoder.layers",
    sublayers={
        "attention": Sublayer(
            input="{layer}.self_attn.q_proj",
            output="{layer}.self_attn.out_proj",
            norm="{layer}.self_attn_layer_norm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.fc1", output="{layer}.fc2", norm="{layer}.final_layer_norm"
        ),
    },
    native_heads={
        "classify": LAST_TOKEN,
        "regress": LAST_TOKEN,
        # there is no stock tagger of this family; this one is laid out like the other decoders'
        "tag": NativeHead(layers=(HeadLayer(name="score"),)),
        "generate": WRITTEN,
    },
    norm_first=True,
    token_types=False,
)
