"""Frozen activations of a job's rows: what they are named by, and having the engine compute them.

Knows rows and steps; neither layers nor tensors.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import count

import msgspec

from engine.port import Done, EnginePort, Fill, Result
from trainer.dataset.batches import prediction_batches
from trainer.engine_client import await_result
from trainer.heads.encoded import EncodedRow

_IN_FLIGHT = 2


def numbered(*parts: Sequence[EncodedRow]) -> list[list[EncodedRow]]:
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
    port: EnginePort,
    rows: Sequence[EncodedRow],
    slot: int,
    waiting: Callable[[], object],
    frozen_below: int | None = None,
) -> None:
    """Have them computed, in the batches that predict these rows: then answers that start there are
    the same bits. `waiting` is called between steps and may raise to end it.
    """
    pieces = [piece for row in rows for piece in row.pieces]
    in_flight: deque[Future[Result]] = deque()
    for batch in prediction_batches([len(piece.ids) for piece in pieces]):
        waiting()
        step = Fill(
            slot=slot,
            rows=[pieces[index].row(slot) for index in batch],
            keys=[pieces[index].key for index in batch],
            frozen_below=frozen_below,
        )
        in_flight.append(port.submit(step))
        if len(in_flight) >= _IN_FLIGHT:
            await_result(in_flight.popleft(), Done)
    for future in in_flight:
        await_result(future, Done)
