"""RoBERTa and XLM-R: positions count from the padding index; the stock head has a dense layer."""

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer

_DENSE = (
    HeadLayer(name="classifier.dense", activation="tanh"),
    HeadLayer(name="classifier.out_proj"),
)

ROBERTA = Family(
    name="roberta",
    model_types=("roberta", "xlm-roberta"),
    prefix="roberta",
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
    positions_after_padding=True,
)
