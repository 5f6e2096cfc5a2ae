"""RoBERTa and XLM-R: positions count from the padding index; the stock head has a dense layer."""

from engine.families.family import BERT_ACTIVATION, BERT_SUBLAYERS, Family, HeadLayer, NativeHead

_DENSE = (
    HeadLayer(name="classifier.dense", activation="tanh"),
    HeadLayer(name="classifier.out_proj"),
)

ROBERTA = Family(
    name="roberta",
    model_types=("roberta", "xlm-roberta"),
    prefix="roberta",
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
    positions_after_padding=True,
)
