"""Gemma 3, text only: some layers see a sliding window, and each branch has norms on both sides."""

from engine.families.family import (
    LAST_TOKEN,
    WRITTEN,
    Family,
    HeadLayer,
    NativeHead,
    Sublayer,
)

GEMMA3 = Family(
    name="gemma3",
    model_types=("gemma3_text",),
    architecture="decoder",
    prefix="model",
    layers="layers",
    sublayers={
        "attention": Sublayer(
            input="{layer}.self_attn.q_proj",
            output="{layer}.self_attn.o_proj",
            norm="{layer}.input_layernorm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.mlp",
            output="{layer}.mlp.down_proj",
            norm="{layer}.pre_feedforward_layernorm",
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
