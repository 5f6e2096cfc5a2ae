"""Tiny real bases, one per family, built from their config classes, with a small tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
)

from engine.families import FAMILIES

VOCABULARY = 120
#: the tokenizer's own: what starts a row, pads one and ends one
_SPECIAL = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
_GATED = {
    **_SPECIAL, "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 64,
}  # fmt: skip

BASES: dict[str, Callable[[], PreTrainedConfig]] = {
    "bert": lambda: BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64,
    ),
    "roberta": lambda: RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=66, pad_token_id=1,
    ),
    "electra": lambda: ElectraConfig(
        vocab_size=VOCABULARY, embedding_size=16, hidden_size=32, num_hidden_layers=3,
        num_attention_heads=2, intermediate_size=48, max_position_embeddings=64,
    ),
    "albert": lambda: AlbertConfig(
        vocab_size=VOCABULARY, embedding_size=16, hidden_size=32, num_hidden_layers=3,
        num_attention_heads=2, intermediate_size=48, max_position_embeddings=64,
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    ),
    "modernbert": lambda: ModernBertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64, local_attention=6, pad_token_id=1,
        bos_token_id=0, cls_token_id=0, eos_token_id=2, sep_token_id=2,
    ),
    "deberta-v2": lambda: DebertaV2Config(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64, relative_attention=True,
        position_biased_input=False, pos_att_type=["p2c", "c2p"], position_buckets=4,
        norm_rel_ebd="layer_norm", share_att_key=True, conv_kernel_size=3,
    ),
    "mpnet": lambda: MPNetConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=66,
    ),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=3, n_heads=2, hidden_dim=48,
        max_position_embeddings=64,
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=2, n_inner=48, n_positions=64,
        **_SPECIAL,
    ),
    "llama": lambda: LlamaConfig(**_GATED),
    "qwen2": lambda: Qwen2Config(**_GATED),
    "qwen3": lambda: Qwen3Config(**_GATED, head_dim=8, tie_word_embeddings=True),
    "gemma3": lambda: Gemma3TextConfig(
        **_GATED, head_dim=16, sliding_window=4, query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "gpt_neox": lambda: GPTNeoXConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64, **_SPECIAL,
    ),
    "opt": lambda: OPTConfig(
        vocab_size=VOCABULARY, hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=3,
        num_attention_heads=2, ffn_dim=48, max_position_embeddings=64, **_SPECIAL,
    ),
    "phi3": lambda: Phi3Config(**_GATED),
}  # fmt: skip


#: these write and do nothing else: test_seq2seq.py
SEQ2SEQ: dict[str, Callable[[], PreTrainedConfig]] = {
    "t5": lambda: T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=3, num_decoder_layers=3,
        num_heads=4, feed_forward_proj="gated-gelu", decoder_start_token_id=1, pad_token_id=1,
        eos_token_id=2, relative_attention_num_buckets=8, relative_attention_max_distance=12,
    ),
    "bart": lambda: BartConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=3,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=48,
        decoder_ffn_dim=48, max_position_embeddings=64, decoder_start_token_id=2,
        forced_eos_token_id=None, **_SPECIAL,
    ),
}  # fmt: skip
_STOCK: dict[str, Any] = {
    "encoder": AutoModel, "decoder": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM,
}  # fmt: skip


def build_base(family: str, folder: Path, **changes: Any) -> Path:
    """A base on disk, as `--base` takes it; weights larger than usual, so that mistakes show."""
    torch.manual_seed(7)
    config = (BASES | SEQ2SEQ)[family]()
    for name, value in changes.items():
        setattr(config, name, value)
    model = _STOCK[FAMILIES[family].architecture].from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.15)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def build_tokenizer() -> PreTrainedTokenizerFast:
    words = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", *(f"w{i}" for i in range(VOCABULARY - 4))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 2)],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
