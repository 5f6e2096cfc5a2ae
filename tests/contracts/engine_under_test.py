"""An engine with the verbs tests want: write an adapter, load it, ask rows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine import port
from engine.adapters.adapter import Adapter, adapter_of, write_adapter
from engine.adapters.directory import read_files, staged_files
from engine.adapters.head_layers import HeadLayers
from engine.engine import Engine
from engine.heads import find_head
from engine.kinds import KINDS
from engine.model.base import Base
from tests.contracts.cases import Case

Answer = NDArray[np.float32]

#: rows of different lengths; ids stay inside the tiny vocabulary
ROWS = [
    [0, 10, 11, 12, 2],
    [0, 50, 2],
    [0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 2],
    [0, 33, 34, 2],
    [0, 90, 91, 92, 93, 94, 95, 2],
]


class EngineUnderTest:
    """One engine and a folder for what is tried on it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self._folder = folder
        self._digests: list[str] = []
        self._caches: set[str] = set()

    @property
    def base(self) -> Base:
        return self.engine._base

    def adapter(self, case: Case, seed: int = 1, scale: float = 0.3, **config: Any) -> Adapter:
        """A fresh adapter of the case, moved off its start by `scale`."""
        kind = KINDS[case.kind]
        settings = kind.check(case.kind_settings | config, self.base)
        head = find_head(case.head_settings).check(case.head_settings)
        generator = torch.Generator().manual_seed(seed)
        weights = kind.new_weights(settings, self.base, generator)
        layers = HeadLayers(head, self.base.family, self.base.hidden_size)
        for parts in weights.values():
            for tensor in parts.values():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * scale)
        return Adapter(
            kind=case.kind, config=settings, weights=weights, head=head,
            head_weights={n: t * 10 for n, t in layers.new_weights(generator).items()},
        )  # fmt: skip

    def write(self, adapter: Adapter) -> Path:
        directory = self._folder / str(len(list(self._folder.glob("*"))))
        directory.mkdir(parents=True)
        write_adapter(adapter, directory, self.base)
        return directory

    def load(self, adapter: Adapter | Path, head: dict[str, Any] | None = None) -> str:
        """Load from files, as serving does; answers the digest it went under."""
        directory = adapter if isinstance(adapter, Path) else self.write(adapter)
        if isinstance(adapter, Adapter):
            head = adapter.head
        inspected = self.ask(port.Inspect(directory=str(directory), head=head))
        digest = f"digest-{len(self._digests)}-{_content(directory)[:8]}"
        files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
        self.ask(port.Load(digest=digest, semantics=inspected.semantics, files=files))
        self._digests.append(digest)
        return digest

    def predict(self, rows: Sequence[tuple[list[int], str | None]]) -> list[Answer | port.Failure]:
        """Rows of digests (None: the bare base) through one step."""
        digests = sorted({digest for _, digest in rows if digest})
        slots = {digest: slot for slot, digest in enumerate(digests, 1)}
        asked = [port.Row.of(ids=ids, slot=slots[d] if d else 0) for ids, d in rows]
        step = port.Predict(rows=asked, place={slot: d for d, slot in slots.items()})
        return [a if isinstance(a, port.Failure) else a.numpy() for a in self.ask(step).rows]

    def answers(self, rows: Sequence[tuple[list[int], str | None]]) -> list[Answer]:
        """As `predict`, where no row may fail."""
        results = self.predict(rows)
        assert not [r for r in results if isinstance(r, port.Failure)], results
        return results  # type: ignore[return-value]

    def open(self, case: Case, **spec: Any) -> int:
        """A training slot for the case."""
        settings: dict[str, Any] = {
            "kind": case.kind, "kind_config": case.kind_settings,
            "head": case.head_settings, "seed": 3, "dropout": 0.0, "head_dropout": 0.0,
        }  # fmt: skip
        self._caches |= {spec["cache"]} if spec.get("cache") else set()
        return int(self.ask(port.OpenTraining(**{**settings, **spec})).slot)

    def train(self, case: Case, slot: int, steps: int, rate: float = 0.01) -> list[float]:
        """Train on the rows with targets that can be learned; the losses."""
        rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS[: len(targets(case))]]
        return [self._train(case, slot, rows, number, rate) for number in range(steps)]

    def fill(self, slot: int, **given: Any) -> None:
        """Keep what enters the lowest trained layer, of all the rows together."""
        rows = [port.Row.of(ids=ids) for ids in ROWS]
        self.ask(port.Fill(slot=slot, rows=rows, keys=list(range(len(rows))), **given))

    def _train(
        self, case: Case, slot: int, rows: list[port.Row], number: int, rate: float
    ) -> float:
        step = port.Train(
            slot=slot, rows=rows, keys=list(range(len(rows))), targets=targets(case),
            learning_rate=rate, step=number,
        )  # fmt: skip
        return float(self.ask(step).loss)

    def ask(self, step: port.Step) -> Any:
        """The step's result; a failure fails the test."""
        result = self.engine.step(step)
        assert not isinstance(result, port.Failure), result
        return result

    def refusal(self, step: port.Step) -> port.Failure:
        result = self.engine.step(step)
        assert isinstance(result, port.Failure), result
        return result

    def clear(self) -> None:
        for digest in self._digests:
            self.engine.step(port.Unload(digest=digest))
        for slot in self.ask(port.Stats()).training:
            self.engine.step(port.CloseTraining(slot=slot))
        for cache in self._caches:
            self.engine.step(port.Forget(cache=cache))


def _content(directory: Path) -> str:
    """As a version's digest does, it tells its weights from all others."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def targets(case: Case) -> list[Any]:
    """Something to learn for each of `ROWS`."""
    if case.head == "classify":
        return [i % 3 for i in range(len(ROWS))]
    if case.head == "regress":
        return [i / 2 - 1 for i in range(len(ROWS))]
    if case.head == "rerank":
        return [float(i % 2) for i in range(len(ROWS))]
    if case.head == "embed":  # rows two by two
        return [None] * (len(ROWS) // 2 * 2)
    if case.head == "span":
        return [[i % len(r), (i + 1) % len(r)] for i, r in enumerate(ROWS)]
    return [[-100, *((i + j) % 3 for j in range(len(r) - 2)), -100] for i, r in enumerate(ROWS)]


def read_adapter(directory: Path, base: Base, head: Mapping[str, Any]) -> Adapter:
    """A version's files as an adapter with its masters, which the engine does not keep."""
    return adapter_of(read_files(staged_files(directory), base.family), base, head)
