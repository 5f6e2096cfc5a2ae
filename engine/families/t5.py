"""T5 and mT5: encoder and decoder with relative positions as a bias; they write, and nothing else.

A bias is counted per row, so rows run padded, never packed.
"""

from engine.families.family import LM_HEAD, Family

T5 = Family(
    name="t5",
    model_types=("t5", "mt5"),
    architecture="seq2seq",
    prefix="",
    layers="encoder.block",
    decoder_layers="decoder.block",
    from_encoder=("EncDecAttention.k", "EncDecAttention.v"),
    # a layer's parts are numbered, and the feed-forward's number differs between the two stacks
    sublayers={},
    native_heads={"generate": LM_HEAD},
    token_types=False,
    packable=False,
    norm_first=True,
    ranged=False,
)
