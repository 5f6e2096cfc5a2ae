"""MPNet: positions count from the padding index, beside a relative bias; attention of its own."""

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer

_DENSE = (
    HeadLayer(name="classifier.dense", activation="tanh"),
    HeadLayer(name="classifier.out_proj"),
)

MPNET = Family(
    name="mpnet",
    model_types=("mpnet",),
    prefix="mpnet",
    layers="encoder.layer",
    sublayers={
        "attention": Sublayer(
            input="{layer}.attention",
            output="{layer}.attention.attn.o",
            norm="{layer}.attention.LayerNorm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.intermediate.dense",
            output="{layer}.output.dense",
            norm="{layer}.output.LayerNorm",
        ),
    },
    native_heads={
        "classify": NativeHead(layers=_DENSE),
        "regress": NativeHead(layers=_DENSE),
        "tag": NativeHead(layers=(HeadLayer(name="classifier"),)),
    },
    token_types=False,
    positions_after_padding=True,
    packable=False,
)
