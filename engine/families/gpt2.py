"""GPT-2: `Conv1D` for linears, query, key and value in one; the stock head reads the last token."""

from engine.families.family import (
    LAST_TOKEN,
    WRITTEN,
    Family,
    HeadLayer,
    NativeHead,
    Sublayer,
)

GPT2 = Family(
    name="gpt2",
    model_types=("gpt2",),
    architecture="decoder",
    prefix="transformer",
    layers="h",
    sublayers={
        "attention": Sublayer(
            input="{layer}.attn.c_attn", output="{layer}.attn.c_proj", norm="{layer}.ln_1"
        ),
        "feed_forward": Sublayer(
            input="{layer}.mlp", output="{layer}.mlp.c_proj", norm="{layer}.ln_2"
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
