"""Sentences in five scripts, with signs between words with and without spaces, and tokenizers of
three sorts that are trained on them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

_WORDS = {
    "Latin": "Mara flew to Korso where nobody knew Otis the mayor of Zürich met Señor Peña again",
    "Cyrillic": "Мара полетела в Корсо где никто не знал Отиса мэр города Ёлкино встретил Лену",
    "Devanagari": "मारा दिल्ली में राम से मिली और कोर्सो की चिट्ठी वहाँ पहुँची नहीं",
    "Arabic": "سافرت مارا إلى كورسو حيث لا أحد يعرف عمر والتقت مدينة القاهرة",
    "Han": "我 在 北 京 見 了 李 明 他 住 上 海 東 城",
}  # fmt: skip
_SIGNS = ["—", "–", "…", ",", ".", "/", "-", "'", "’", "”", ")", "(", "“", ":", "?!", "$", "_", "@"]
_NATIVE_SIGNS = {"Devanagari": ["।"], "Arabic": ["،", "؟"], "Han": ["。", "，", "「", "」"]}
_SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]
_VOCABULARY = 700


def sentences(count: int) -> list[tuple[str, bool]]:
    """Each text, and whether words are parted by spaces alone in it."""
    chosen = random.Random(17)
    return [_sentence(chosen, list(_WORDS)[i % len(_WORDS)]) for i in range(count)]


def _sentence(chosen: random.Random, script: str) -> tuple[str, bool]:
    words = _WORDS[script].split()
    signs = _SIGNS + _NATIVE_SIGNS.get(script, [])
    glued = chosen.random() < 0.6
    text = chosen.choice(words)
    for _ in range(chosen.randint(2, 9)):
        space = "" if script == "Han" else " "
        if chosen.random() < 0.4:
            before, after = chosen.choice([("", ""), (" ", ""), ("", " ")]) if glued else (" ", " ")
            space = f"{before}{chosen.choice(signs) if glued else chosen.choice('—…,')}{after}"
        text += space + chosen.choice(words)
    return text, not glued and script != "Han"


def word_pieces(texts: list[str]) -> Tokenizer:
    """As BERT's: pieces of what its pre-tokenizer parts."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=_VOCABULARY, special_tokens=_SPECIAL, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return _between_specials(made)


def bytes_merged(texts: list[str]) -> Tokenizer:
    """As RoBERTa's: bytes, merged, the space before a word among them."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, special_tokens=_SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 0))
    return made


def unigrams(texts: list[str]) -> Tokenizer:
    """As XLM-R's: the likeliest pieces of all that spaces part."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=_SPECIAL, unk_token="[UNK]", show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return _between_specials(made)


def _between_specials(made: Tokenizer) -> Tokenizer:
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 2)]
    )
    return made


TOKENIZERS: dict[str, Callable[[list[str]], Tokenizer]] = {
    "WordPiece": word_pieces, "byte-level": bytes_merged, "Unigram": unigrams,
}  # fmt: skip
