"""Compares an adapter trained alone with the same one trained interleaved with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.training import BASE
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.text.tokenizer import Tokenizer

_ROWS = 256
_BATCH = 8
#: the other adapters: kind, settings, dropout
_OTHERS: list[tuple[str, dict[str, Any], float]] = [
    ("lora", {"rank": 8, "layers": 3}, 0.3),
    ("bottleneck", {"layers": 2}, 0.1),
    ("ia3", {"layers": 3}, 0.0),
    ("lora", {"rank": 4}, 0.5),
]


def compare_interleaved(data: Path, num_steps: int, num_others: int, threads: int) -> str:
    """The largest difference of any weight, as a sentence."""
    engine = Engine(EngineConfig(base=BASE, dtype="float32", threads=threads))
    texts = _texts(engine, data)
    alone = _train(engine, texts, num_steps, [])
    others = [_OTHERS[number % len(_OTHERS)] for number in range(num_others)]
    interleaved = _train(engine, texts, num_steps, others)
    largest = max((alone[name] - interleaved[name]).abs().max().item() for name in alone)
    return (
        f"{num_steps} steps in float32, dropout on, alone and interleaved with {num_others} "
        f"others: the largest difference of a weight is {largest:g}"
    )


def _texts(engine: Engine, data: Path) -> list[list[int]]:
    tokenizer = Tokenizer(engine.info.tokenizer_json, engine.info.max_tokens)
    lines = (data / "tweets.jsonl").read_text().splitlines()[:_ROWS]
    encodings = tokenizer.encode_batch([json.loads(line)["text"] for line in lines], 64)
    return [list(encoding.rows[0][0]) for encoding in encodings]


def _train(
    engine: Engine, texts: list[list[int]], num_steps: int, others: list[Any]
) -> dict[str, Tensor]:
    """The weights of the first slot; the others train between its steps."""
    first = ("lora", {"rank": 8, "layers": 3}, 0.1)
    slots = [_open(engine, *training, seed) for seed, training in enumerate([first, *others])]
    for start in range(0, len(texts), _BATCH):
        _fill(engine, slots, texts, list(range(start, start + _BATCH)))
    for number in range(num_steps):
        for offset, slot in enumerate(slots):
            keys = [(number * _BATCH + offset + i * 7) % len(texts) for i in range(_BATCH)]
            _run(engine, _step(slot, keys, texts, number))
    tensors = engine._trainings[slots[0]].adapter.tensors
    weights = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    for slot in slots:
        _run(engine, port.CloseTraining(slot=slot))
    _run(engine, port.Forget(cache="tweets"))
    return weights


def _open(engine: Engine, kind: str, config: dict[str, Any], dropout: float, seed: int) -> int:
    head = {"kind": "classify", "labels": ["odd", "even"], "pooling": "native"}
    step = port.OpenTraining(
        kind=kind, kind_config=config, head=head, seed=seed, dropout=dropout, cache="tweets"
    )
    return int(_run(engine, step).slot)


def _fill(engine: Engine, slots: list[int], texts: list[list[int]], keys: list[int]) -> None:
    rows = [port.Row.of(ids=texts[key]) for key in keys]
    for slot in slots:
        _run(engine, port.Fill(slot=slot, rows=rows, keys=keys))


def _step(slot: int, keys: list[int], texts: list[list[int]], number: int) -> port.Train:
    return port.Train(
        slot=slot, rows=[port.Row.of(ids=texts[key], slot=slot) for key in keys], keys=keys,
        targets=[len(texts[key]) % 2 for key in keys], learning_rate=1e-3, step=number,
    )  # fmt: skip


def _run(engine: Engine, step: port.Step) -> Any:
    result = engine.step(step)
    assert not isinstance(result, port.Failure), result
    return result
