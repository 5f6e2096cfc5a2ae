"""DistilBERT: no token types, no pooler; the stock head has a dense layer of its own."""

from engine.families.family import Family, HeadLayer, NativeHead

_DENSE = (HeadLayer(name="pre_classifier", activation="relu"), HeadLayer(name="classifier"))

DISTILBERT = Family(
    name="distilbert",
    model_types=("distilbert",),
    prefix="distilbert",
    embeddings="embeddings",
    layers="transformer.layer",
    sublayers={"attention": "{layer}.attention.out_lin", "feed_forward": "{layer}.ffn.lin2"},
    native_heads={
        "classify": NativeHead(layers=_DENSE),
        "regress": NativeHead(layers=_DENSE),
        "tag": NativeHead(layers=(HeadLayer(name="classifier"),)),
    },
    token_types=False,
)
