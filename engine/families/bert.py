"""BERT: pooler on the first token, then one linear."""

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer

_CLASSIFIER = (HeadLayer(name="classifier"),)

BERT = Family(
    name="bert",
    model_types=("bert",),
    prefix="bert",
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
        "classify": NativeHead(layers=_CLASSIFIER, base_pooler=True),
        "regress": NativeHead(layers=_CLASSIFIER, base_pooler=True),
        "tag": NativeHead(layers=_CLASSIFIER),
    },
    token_types=True,
)
