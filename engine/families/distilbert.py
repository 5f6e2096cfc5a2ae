"""DistilBERT: no token types, no pooler; the stock head has a dense layer of its own."""

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer

_DENSE = (HeadLayer(name="pre_classifier", activation="relu"), HeadLayer(name="classifier"))

DISTILBERT = Family(
    name="distilbert",
    model_types=("distilbert",),
    prefix="distilbert",
    layers="transformer.layer",
    sublayers={
        "attention": Sublayer(
            input="{layer}.attention",
            output="{layer}.attention.out_lin",
            norm="{layer}.sa_layer_norm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.ffn",
            output="{layer}.ffn.lin2",
            norm="{layer}.output_layer_norm",
        ),
    },
    native_heads={
        "classify": NativeHead(layers=_DENSE),
        "regress": NativeHead(layers=_DENSE),
        "tag": NativeHead(layers=(HeadLayer(name="classifier"),)),
    },
    attention_reads=("attention",),
    activation=("ffn.lin1", "ffn.activation"),
    token_types=False,
)
