"""BART: encoder and decoder that count positions themselves, so rows run padded, never packed."""

from engine.families.family import LM_HEAD, Family, Sublayer

BART = Family(
    name="bart",
    model_types=("bart",),
    architecture="seq2seq",
    prefix="model",
    layers="encoder.layers",
    decoder_layers="decoder.layers",
    decoder_positions="decoder.embed_positions",
    from_encoder=("encoder_attn.k_proj", "encoder_attn.v_proj"),
    sublayers={
        "attention": Sublayer(
            input="{layer}.self_attn.q_proj",
            output="{layer}.self_attn.out_proj",
            norm="{layer}.self_attn_layer_norm",
        ),
        "feed_forward": Sublayer(
            input="{layer}.fc1", output="{layer}.fc2", norm="{layer}.final_layer_norm"
        ),
    },
    native_heads={"generate": LM_HEAD},
    token_types=False,
    packable=False,
    ranged=False,
)
