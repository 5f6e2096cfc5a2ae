"""A checked split as tokens: what a job's runs train on, and the rows they are judged by. Knows the
base's facts and tokenizer; no engine.
"""

from __future__ import annotations

from typing import Any

from engine.heads.generate import GenerateHead
from engine.port import EngineInfo
from engine.prompting import Prompter
from engine.tokenizer import Tokenizer
from trainer.activations import numbered
from trainer.course import Course
from trainer.encode import EncodedRow, encode_examples, head_for
from trainer.example import Example
from trainer.lessons import encode_lessons
from trainer.prepare import Prepared
from trainer.recipe import learning_rate, pooling_of
from trainer.values import JobSpec


def encoded(
    spec: JobSpec, prepared: Prepared, info: EngineInfo, tokenizer: Tokenizer
) -> tuple[Course, list[EncodedRow]]:
    """The course, and the test rows."""
    split, settings = prepared.split, spec.settings
    pooling = pooling_of(spec, info)
    head = head_for(spec.head, pooling, prepared.labels, split.train, settings)
    train, dev, test = (
        encode_rows(rows, head, settings.max_tokens, info, tokenizer)
        for rows in (split.train, split.dev, split.test)
    )
    train, dev, test = numbered(train, dev, test)
    rate = learning_rate(spec)
    return Course(train=train, dev=dev, head=head, settings=settings, learning_rate=rate), test


def encode_rows(
    examples: list[Example],
    head: dict[str, Any],
    limit: int | None,
    info: EngineInfo,
    tokenizer: Tokenizer,
) -> list[EncodedRow]:
    if head["kind"] != GenerateHead.name:
        return encode_examples(examples, head, tokenizer, limit)
    limit = min(limit or info.max_tokens, info.max_tokens)
    return encode_lessons(examples, head, Prompter(info, tokenizer), limit)
