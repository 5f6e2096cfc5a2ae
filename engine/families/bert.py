"""BERT: pooler on the first token, then one linear."""

from engine.families.family import BERT_ACTIVATION, BERT_SUBLAYERS, Family, HeadLayer, NativeHead

_CLASSIFIER = (HeadLayer(name="classifier"),)

BERT = Family(
    name="bert",
    model_types=("bert",),
    prefix="bert",
    layers="encoder.layer",
    sublayers=BERT_SUBLAYERS,
    native_heads={
        "classify": NativeHead(layers=_CLASSIFIER, base_pooler=True),
        "regress": NativeHead(layers=_CLASSIFIER, base_pooler=True),
        "tag": NativeHead(layers=_CLASSIFIER),
    },
    attention_reads=("attention.self",),
    activation=BERT_ACTIVATION,
    token_types=True,
)
