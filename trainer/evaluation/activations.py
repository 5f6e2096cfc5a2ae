"""Frozen activations of a job's rows: their keys, and the steps that compute them in the engine.

Knows rows and steps; neither layers nor tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import msgspec

from engine.port import Done, Fill
from trainer.dataset.batches import prediction_batches
from trainer.engine_client import EngineSession
from trainer.heads.encoded import EncodedRow


def assign_keys(*parts: Sequence[EncodedRow]) -> list[list[EncodedRow]]:
    """The same rows, every piece of all parts under a key of its own."""
    keys = count()
    return [
        [replace(r, pieces=tuple(replace(p, key=next(keys)) for p in r.pieces)) for r in part]
        for part in parts
    ]


def dataset_name(tenant: str, *parts: Sequence[EncodedRow]) -> str:
    """Equal only for one tenant's equal tokens under equal keys."""
    pieces = [
        (piece.key, piece.ids, piece.type_ids)
        for part in parts
        for row in part
        for piece in row.pieces
    ]
    return hashlib.sha256(msgspec.msgpack.encode((tenant, pieces))).hexdigest()


def fill(
    session: EngineSession,
    rows: Sequence[EncodedRow],
    slot: int,
    frozen_below: int | None = None,
) -> None:
    """Have the engine compute the rows' frozen activations, in the batches that predict these rows:
    answers that start from them are the same bits.
    """
    pieces = [piece for row in rows for piece in row.pieces]
    steps = (
        Fill(
            slot=slot,
            rows=[pieces[index].row(slot) for index in batch],
            keys=[pieces[index].key for index in batch],
            frozen_below=frozen_below,
        )
        for batch in prediction_batches([len(piece.ids) for piece in pieces])
    )
    for _ in session.stream(steps, Done):
        pass
