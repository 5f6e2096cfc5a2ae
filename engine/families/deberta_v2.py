"""DeBERTa-v2 and v3: attention of its own, with relative positions; the stock head has a pooler."""

from collections.abc import Mapping
from typing import Any

from engine.families.family import BERT_SUBLAYERS, Family, HeadLayer, NativeHead


def _heads(config: Any) -> Mapping[str, NativeHead]:
    row = NativeHead(
        layers=(
            HeadLayer(name="pooler.dense", activation=config.pooler_hidden_act),
            HeadLayer(name="classifier"),
        )
    )
    tag = NativeHead(layers=(HeadLayer(name="classifier"),))
    return {"classify": row, "regress": row, "tag": tag}


DEBERTA_V2 = Family(
    name="deberta-v2",
    model_types=("deberta-v2",),
    prefix="deberta",
    layers="encoder.layer",
    sublayers=BERT_SUBLAYERS,
    configured_heads=_heads,
    token_types=True,
    packable=False,
    shared_modules=("encoder.LayerNorm", "encoder.conv.conv"),
    slot_biases=("{layer}.attention.self", "disentangled_attention_bias"),
)
