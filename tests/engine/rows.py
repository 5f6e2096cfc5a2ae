"""What tests ask of any engine: rows, a fresh adapter, and its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import port
from engine.port import EnginePort, Row

HEAD = {
    "kind": "classify",
    "labels": ["no", "yes"],
    "pooling": "native",
    "input": "text",
    "multi_label": False,
}
IDS = [[0, 10, 11, 2], [0, 50, 2], [0, 7, 8, 9, 10, 2], [0, 33, 34, 2]]
TARGETS = [0, 1, 0, 1]
#: what an engine needs at least to begin again
TIMEOUT_S = 60


def ask(engine: EnginePort, step: port.Step) -> Any:
    return engine.submit(step).result(TIMEOUT_S)


def open_training(
    engine: EnginePort, head: dict[str, Any] | None = None, resume: str | None = None
) -> int:
    step = port.OpenTraining(
        kind="lora",
        kind_config={"rank": 2},
        head=head or HEAD,
        seed=3,
        dropout=0.0,
        head_dropout=0.0,
        resume=resume,
    )
    return int(ask(engine, step).slot)


def train(
    engine: EnginePort, slot: int, steps: int, targets: list[Any] | None = None
) -> list[float]:
    """The losses."""
    rows = [Row.of(ids=ids) for ids in IDS]
    return [
        ask(
            engine,
            port.Train(
                slot=slot,
                rows=rows,
                keys=list(range(len(rows))),
                targets=targets or TARGETS,
                learning_rate=0.01,
                step=number,
            ),
        ).loss
        for number in range(steps)
    ]


def save(engine: EnginePort, slot: int, directory: Path) -> port.Saved:
    directory.mkdir(parents=True, exist_ok=True)
    saved = ask(engine, port.Save(slot=slot, directory=str(directory)))
    assert isinstance(saved, port.Saved)
    return saved


def load(engine: EnginePort, directory: Path, digest: str) -> int:
    """Load a directory as serving does; its bytes."""
    inspected = ask(engine, port.Inspect(directory=str(directory)))
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    step = port.Load(digest=digest, semantics=inspected.semantics, files=files)
    return int(ask(engine, step).num_bytes)


def answers(
    engine: EnginePort, slot: int, place: dict[int, str] | None = None
) -> list[NDArray[np.float32]]:
    rows = [Row.of(ids=ids, slot=slot) for ids in IDS]
    predicted = ask(engine, port.Predict(rows=rows, place=place or {}))
    return [row.numpy() for row in predicted.rows]
