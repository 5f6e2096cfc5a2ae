"""Generates a slot's answers to encoded prompts, with the steps that also serve. Knows tokens;
neither texts nor metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.port import (
    Done,
    FreeSequences,
    Generate,
    Generated,
    Row,
    SequenceOutput,
    StartSequence,
)
from trainer.dataset.batches import prediction_batches
from trainer.engine_client import EngineSession, error_of
from trainer.heads.encoded import EncodedRow

#: served rows count their keys from 1
_FIRST_KEY = 2**48
#: each slot has keys of its own: an estimate writes beside a job of somebody else's
_ROWS_A_SLOT = 2**32
_ROWS = 32
#: tokens a step: served rows wait no longer than for so many
_TOKENS = 4


def generate_answers(
    session: EngineSession,
    rows: Sequence[EncodedRow],
    head: dict[str, Any],
    slot: int,
    place: dict[int, str] | None = None,
) -> list[list[int]]:
    """The tokens each row is answered with, in the order of the rows."""
    answers: list[list[int]] = [[]] * len(rows)
    for batch in prediction_batches([len(row.prompt_ids) for row in rows], max_rows=_ROWS):
        keys = [_FIRST_KEY + slot * _ROWS_A_SLOT + index for index in batch]
        prompts = [Row.of(ids=list(rows[index].prompt_ids), slot=slot) for index in batch]
        begin = [
            StartSequence(key=key, row=row, max_tokens=head["max_tokens"])
            for key, row in zip(keys, prompts, strict=True)
        ]
        try:
            texts = _decode(session, Generate(begin=begin, place=place or {}, background=True))
        finally:
            session.call(FreeSequences(keys=keys), Done)
        for index, key in zip(batch, keys, strict=True):
            answers[index] = texts[key]
    return answers


def _decode(session: EngineSession, step: Generate) -> dict[int, list[int]]:
    """The tokens of every sequence that `step` starts, once all of them are finished."""
    running = [begin.key for begin in step.begin]
    texts: dict[int, list[int]] = {key: [] for key in running}
    decoded = session.call(step, Generated)
    while running:
        unfinished = []
        for key, result in zip(running, decoded.rows, strict=True):
            if not isinstance(result, SequenceOutput):
                raise error_of(result)
            texts[key] += result.ids
            if not result.finish:
                unfinished.append(key)
        running = unfinished
        if running:
            session.check()
            step = Generate(keys=running, num_tokens=_TOKENS, background=True)
            decoded = session.call(step, Generated)
    return texts
