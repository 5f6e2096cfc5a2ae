"""Small tokenizers of the kinds that bases which write have; token 0 ends the text."""

from __future__ import annotations

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

END = 0
_PIECES = ["true", "false", "null", '"name', '":', "▁", "▁a", "ab", "▁{", '{"', "12", "é", "▁▁"]


@cache
def byte_level() -> str:
    """As GPT-2's: letters stand for bytes, some merged."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "r"), ("u", "e"), ("tr", "ue"), ("{", '"'), ("Ġ", "a"), ("1", "2"), ('"', ":")]
    words = ["<end>", *alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _ended(tokenizer)


@cache
def sentence_pieces() -> str:
    """As Llama 2's: spaces are letters of their own, and bytes stand in for unknown letters."""
    letters = [chr(code) for code in range(33, 127)]
    words = ["<end>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    words += [piece for piece in _PIECES if piece not in words]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={w: i for i, w in enumerate(words)},
            merges=[],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return _ended(tokenizer)


@cache
def sentence_pieces_split() -> str:
    """As transformers writes Llama 2's today: the splitter puts the space before the first word."""
    tokenizer = Tokenizer.from_str(sentence_pieces())
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer.to_str()


@cache
def unigrams() -> str:
    """As T5's: pieces with their likelihoods, and no bytes at all."""
    letters = [chr(code) for code in range(33, 127)]
    words = ["<end>", "<unk>", *letters, *_PIECES]
    tokenizer = Tokenizer(models.Unigram([(w, -1.0 - i / 100) for i, w in enumerate(words)], 1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _ended(tokenizer)


VOCABULARIES = {
    "byte_level": byte_level,
    "sentence_pieces": sentence_pieces,
    "sentence_pieces_split": sentence_pieces_split,
    "unigrams": unigrams,
}


def _ended(tokenizer: Tokenizer) -> str:
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    return tokenizer.to_str()
