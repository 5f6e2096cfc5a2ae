"""ALBERT: the layers of a group are one set of weights that runs many times.

A group is one layer here: its sites act in every pass, as in PEFT, so no adapter leaves a bare
prefix below it.
"""

from engine.families.family import Family, HeadLayer, NativeHead, Sublayer

_CLASSIFIER = (HeadLayer(name="classifier"),)

ALBERT = Family(
    name="albert",
    model_types=("albert",),
    prefix="albert",
    layers="encoder.albert_layer_groups",
    sublayers={
        "attention": Sublayer(
            input="{layer}.albert_layers.0.attention",
            output="{layer}.albert_layers.0.attention.dense",
            norm="{layer}.albert_layers.0.attention.LayerNorm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.albert_layers.0.ffn",
            output="{layer}.albert_layers.0.ffn_output",
            norm="{layer}.albert_layers.0.full_layer_layer_norm",
        ),
    },
    native_heads={
        "classify": NativeHead(layers=_CLASSIFIER, base_pooler=True),
        "regress": NativeHead(layers=_CLASSIFIER, base_pooler=True),
        "tag": NativeHead(layers=_CLASSIFIER),
    },
    token_types=True,
    pooler_activation="pooler_activation",
    ranged=False,
)
