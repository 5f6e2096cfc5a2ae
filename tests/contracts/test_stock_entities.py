"""Entities of raw text are those of the stock token-classification pipeline, whose words are a
word-piece tokenizer's; by other tokenizers it parts words at spaces alone, and we everywhere alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, pre_tokenizers
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    PreTrainedTokenizerFast,
    TokenClassificationPipeline,
)

from engine.adapters.adapter import Adapter
from engine.config import EngineConfig
from engine.engine import Engine
from engine.heads.head import AnswerOptions
from engine.heads.tag import TagHead
from engine.text.tokenizer import Tokenizer
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.ner_sentences import TOKENIZERS, sentences

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES = sentences(200)
Entities = list[tuple[str, int, int]]


class ToldWords(TokenClassificationPipeline):
    """The stock pipeline, told where words begin: where BERT's pre-tokenizer begins them, and at
    each Chinese character as its normaliser would have it.
    """

    def gather_pre_entities(self, sentence: str, *args: Any, **options: Any) -> list[Any]:
        pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(sentence)
        starts = {start for _, (start, _) in pieces}
        starts |= {i for i, c in enumerate(sentence) if "\u4e00" <= c <= "\u9fff"}
        words = [sum(start <= i for start in starts) for i in range(len(sentence))]
        told, covered = [], 0
        for token in super().gather_pre_entities(sentence, *args, **options):
            covers = [i for i in range(token["start"], token["end"]) if sentence[i].strip()]
            if covers:
                told.append({**token, "is_subword": words[covers[0]] <= covered})
                covered = words[covers[-1]]
        return told


@pytest.fixture(params=sorted(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> RawTokenizer:
    return TOKENIZERS[request.param]([text for text, _ in SENTENCES])


def base_of(tokenizer: RawTokenizer, folder: Path) -> Path:
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=48, max_position_embeddings=256,
        id2label=dict(enumerate(LABELS)),
    )  # fmt: skip
    model = AutoModelForTokenClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", model_max_length=256,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def our_entities(folder: Path, scratch: Path) -> list[Entities]:
    """Of all sentences, through the engine and the head that serve them."""
    under_test = EngineUnderTest(
        Engine(EngineConfig(base=str(folder), dtype="float32", threads=1)), scratch
    )
    bare = under_test.adapter(Case("bert", "head_only", "tag", "native"))
    stock = AutoModelForTokenClassification.from_pretrained(folder).state_dict()
    head = TagHead().check({"kind": "tag", "labels": LABELS})
    weights = {name: stock[name].clone() for name in bare.head_weights}
    digest = under_test.load(
        Adapter(kind="head_only", config=bare.config, weights={}, head=head, head_weights=weights)
    )
    info = under_test.engine.info
    tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
    encodings = [tokenizer.encode(text) for text, _ in SENTENCES]
    usual = AnswerOptions()
    answers = under_test.answers([(encoding.ids, digest) for encoding in encodings])
    return [
        [
            (entity["label"], entity["start"], entity["end"])
            for entity in TagHead().decode(answer, head, encoding, text, usual)["entities"]
        ]
        for answer, encoding, (text, _) in zip(answers, encodings, SENTENCES, strict=True)
    ]


def stock_entities(folder: Path, kind: type[TokenClassificationPipeline]) -> list[Entities]:
    model = AutoModelForTokenClassification.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    pipeline = kind(model=model, tokenizer=tokenizer, aggregation_strategy="first")
    answers = pipeline([text for text, _ in SENTENCES])
    return [
        [(e["entity_group"], *_trimmed(text, e["start"], e["end"])) for e in found]
        for found, (text, _) in zip(answers, SENTENCES, strict=True)
    ]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Stock offsets may begin at the space before a word; ours never do."""
    inner = text[start:end].lstrip()
    return end - len(inner), end


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words:UserWarning")
def test_entities_of_raw_text_are_the_stock_pipeline_s(
    tokenizer: RawTokenizer, tmp_path: Path
) -> None:
    folder = base_of(tokenizer, tmp_path / "base")
    ours = our_entities(folder, tmp_path / "adapters")
    stock = stock_entities(folder, TokenClassificationPipeline)
    told = stock_entities(folder, ToldWords)
    assert sum(map(len, ours)) > len(SENTENCES)
    assert ours == told
    where = [i for i, (text, _) in enumerate(SENTENCES) if stock_sees_words(tokenizer, text)]
    assert len(where) > len(SENTENCES) / 5
    assert [ours[i] for i in where] == [stock[i] for i in where]


def stock_sees_words(tokenizer: RawTokenizer, text: str) -> bool:
    """Of word pieces it always does. Otherwise it takes what spaces part for a word, and each part
    of a letter cut in bytes, and a space that is a token.
    """
    if isinstance(tokenizer.model, models.WordPiece):
        return True
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    starts = [_trimmed(text, *offset)[0] for offset in offsets]
    spaces = [start for start, (_, end) in zip(starts, offsets, strict=True) if start == end]
    return dict(SENTENCES)[text] and not spaces and len(set(starts)) == len(starts)
