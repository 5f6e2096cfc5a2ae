"""Tokenizers small enough to read: whitespace words, words in letters, and SentencePiece-like."""

from __future__ import annotations

from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors

from engine.testing.fake_base import fake_tokenizer_json
from engine.text.tokenizer import Tokenizer

WORDS = ["[CLS]", "[SEP]", "[UNK]", "anna", "lives", "in", "new", "york", "and", "@", "works", "."]


def word_tokenizer(max_tokens: int = 64) -> Tokenizer:
    """One token per word or punctuation mark."""
    raw = RawTokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    return Tokenizer(raw.to_str(), max_tokens)


def letter_tokenizer(max_tokens: int = 64) -> Tokenizer:
    """One token per byte, the space before a word included, as byte-level vocabularies have it."""
    return Tokenizer(fake_tokenizer_json(), max_tokens)


def piece_tokenizer(max_tokens: int = 64) -> Tokenizer:
    """Pieces that carry the space before a word, as SentencePiece writes them."""
    pieces = ["<s>", "</s>", "<unk>", "▁", "a", "b", "▁a", "▁b", "ab", "▁ab"]
    raw = RawTokenizer(models.Unigram([(piece, -1.0) for piece in pieces], 2))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return Tokenizer(raw.to_str(), max_tokens)


def accentless_tokenizer(max_tokens: int = 64) -> Tokenizer:
    """One piece per letter, marks stripped, as the uncased BERT has it."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[UNK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    raw = RawTokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return Tokenizer(raw.to_str(), max_tokens)
