"""ELECTRA: BERT's layers over embeddings of their own width; the stock head has a dense layer."""

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer

_DENSE = (
    HeadLayer(name="classifier.dense", activation="gelu"),
    HeadLayer(name="classifier.out_proj"),
)

ELECTRA = Family(
    name="electra",
    model_types=("electra",),
    prefix="electra",
    layers="encoder.layer",
    sublayers={
        "attention": Sublayer(
            input="{layer}.attention",
            output="{layer}.attention.output.dense",
            norm="{layer}.attention.output.LayerNorm",
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
    token_types=True,
)
