"""The answers that a slot generates to encoded prompts, by the steps that serve. Knows tokens;
neither texts nor metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.port import (
    Done,
    EnginePort,
    FreeSequences,
    Generate,
    Generated,
    Row,
    SequenceOutput,
    StartSequence,
)
from trainer.dataset.batches import prediction_batches
from trainer.engine_client import call, error_of
from trainer.heads.encoded import EncodedRow

#: served rows count their keys from 1
_FIRST_KEY = 2**48
#: each slot has keys of its own: an estimate writes beside a job of somebody else's
_ROWS_A_SLOT = 2**32
_ROWS = 32
#: tokens a step: served rows wait no longer than for so many
_TOKENS = 4


def generate_answers(
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
            StartSequence(key=key, row=row, max_tokens=head["max_tokens"])
            for key, row in zip(keys, asked, strict=True)
        ]
        try:
            texts = _to_the_end(port, Generate(begin=begin, place=place or {}), waiting)
        finally:
            call(port, FreeSequences(keys=keys), Done)
        for index, key in zip(batch, keys, strict=True):
            answers[index] = texts[key]
    return [np.asarray(ids, np.float32) for ids in answers]


def _to_the_end(
    port: EnginePort, step: Generate, waiting: Callable[[], object]
) -> dict[int, list[int]]:
    going = [begin.key for begin in step.begin]
    texts: dict[int, list[int]] = {key: [] for key in going}
    decoded = call(port, step, Generated)
    while going:
        unfinished = []
        for key, result in zip(going, decoded.rows, strict=True):
            if not isinstance(result, SequenceOutput):
                raise error_of(result)
            texts[key] += result.ids
            if not result.finish:
                unfinished.append(key)
        going = unfinished
        if going:
            waiting()
            decoded = call(port, Generate(keys=going, num_tokens=_TOKENS), Generated)
    return texts
