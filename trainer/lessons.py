"""Examples of texts to write as rows the engine takes, and the writing itself, by the steps that
serve. Knows the base's prompts; no split and no epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadRow
from engine.heads.generate import MOST_TOKENS
from engine.port import Begin, Decoded, Done, EnginePort, Release, Row, Write, Written
from engine.prompting import Lesson, Prompter
from trainer.ask import ask, error_of
from trainer.batches import prediction_batches
from trainer.encode import EncodedRow, Piece
from trainer.errors import BadLine
from trainer.example import Example

#: served rows count their keys from 1
_FIRST_KEY = 2**48
#: each slot has keys of its own: an estimate writes beside a job of somebody else's
_ROWS_A_SLOT = 2**32
_ROWS = 32
#: tokens a step: served rows wait no longer than for so many
_TOKENS = 4
#: a version may run a little past what it learned
_ROOM = 8


def encode_lessons(
    examples: Sequence[Example], head: dict[str, Any], prompter: Prompter, max_tokens: int
) -> list[EncodedRow]:
    """In order. Raises BadLine for a conversation that the base has no words for."""
    encoded = list[EncodedRow]()
    for example in examples:
        try:
            encoded.append(_encoded(example, head, prompter, max_tokens))
        except BadRow as error:
            raise BadLine(f"Line {example.line}: {error}.", line=example.line) from error
    return encoded


def written(
    port: EnginePort,
    rows: Sequence[EncodedRow],
    head: dict[str, Any],
    slot: int,
    waiting: Callable[[], object],
    place: dict[int, str] | None = None,
) -> list[NDArray[np.float32]]:
    """The tokens each row is answered with, in the order of the rows."""
    answers: list[list[int]] = [[]] * len(rows)
    for batch in prediction_batches([len(row.asked) for row in rows], max_rows=_ROWS):
        keys = [_FIRST_KEY + slot * _ROWS_A_SLOT + index for index in batch]
        asked = [Row(ids=list(rows[index].asked), slot=slot) for index in batch]
        begin = [
            Begin(key=key, row=row, max_tokens=head["max_tokens"])
            for key, row in zip(keys, asked, strict=True)
        ]
        try:
            texts = _to_the_end(port, Write(begin=begin, place=place or {}), waiting)
        finally:
            ask(port, Release(keys=keys), Done)
        for index, key in zip(batch, keys, strict=True):
            answers[index] = texts[key]
    return [np.asarray(ids, np.float32) for ids in answers]


def _to_the_end(
    port: EnginePort, step: Write, waiting: Callable[[], object]
) -> dict[int, list[int]]:
    going = [begin.key for begin in step.begin]
    texts: dict[int, list[int]] = {key: [] for key in going}
    decoded = ask(port, step, Decoded)
    while going:
        unfinished = []
        for key, result in zip(going, decoded.rows, strict=True):
            if not isinstance(result, Written):
                raise error_of(result)
            texts[key] += result.ids
            if not result.finish:
                unfinished.append(key)
        going = unfinished
        if going:
            waiting()
            decoded = ask(port, Write(keys=going, num_tokens=_TOKENS), Decoded)
    return texts


def covering(head: dict[str, Any], rows: Sequence[EncodedRow]) -> dict[str, Any]:
    """The head's settings, with room for every answer of these rows as the base writes it."""
    longest = max((row.answer_tokens for row in rows), default=0)
    return head | {"max_tokens": min(MOST_TOKENS, max(head["max_tokens"], longest + _ROOM))}


def _encoded(
    example: Example, head: dict[str, Any], prompter: Prompter, max_tokens: int
) -> EncodedRow:
    """Every answer that is learned is a piece; what is compared is the last of them, as it reads
    when it is written.
    """
    lessons = lessons_of(example, head, prompter)
    fitting = [lesson.within(max_tokens) for lesson in lessons]
    last = lessons[-1]
    return EncodedRow(
        pieces=tuple(Piece(ids=each.ids, type_ids=None, target=each.target) for each in fitting),
        example=replace(example, label=prompter.text(last.answer)),
        truncated=any(a is not b for a, b in zip(fitting, lessons, strict=True)),
        asked=tuple(fitting[-1].asked),
        answer_tokens=len(last.answer),
        said=prompter.text,
    )


def lessons_of(example: Example, head: dict[str, Any], prompter: Prompter) -> list[Lesson]:
    """Of each answer that is learned one. Raises the engine's BadRow."""
    if not example.turns:
        return [prompter.lesson(example.text, str(example.label), head)]
    return [prompter.lesson(turn.asked, turn.answer, head) for turn in example.turns]
