"""Llama and the models shaped like it, Qwen2 and Qwen3: norms before the branches, one linear each
for query, key and value, a gated feed-forward; the stock head reads the last token.
"""

from dataclasses import replace

from engine.families.family import (
    LAST_TOKEN,
    WRITTEN,
    Family,
    HeadLayer,
    NativeHead,
    Sublayer,
)

LLAMA = Family(
    name="llama",
    model_types=("llama",),
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
QWEN2 = replace(LLAMA, name="qwen2", model_types=("qwen2",))
QWEN3 = replace(LLAMA, name="qwen3", model_types=("qwen3",))
