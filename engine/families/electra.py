"""ELECTRA: BERT's layers over embeddings of their own width; the stock head has a dense layer."""

from engine.families.family import BERT_ACTIVATION, BERT_SUBLAYERS, Family, HeadLayer, NativeHead

_DENSE = (
    HeadLayer(name="classifier.dense", activation="gelu"),
    HeadLayer(name="classifier.out_proj"),
)

ELECTRA = Family(
    name="electra",
    model_types=("electra",),
    prefix="electra",
    layers="encoder.layer",
    sublayers=BERT_SUBLAYERS,
    native_heads={
        "classify": NativeHead(layers=_DENSE),
        "regress": NativeHead(layers=_DENSE),
        "tag": NativeHead(layers=(HeadLayer(name="classifier"),)),
    },
    attention_reads=("attention.self",),
    activation=BERT_ACTIVATION,
    token_types=True,
)
