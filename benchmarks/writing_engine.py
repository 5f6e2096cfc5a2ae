"""Rows that write in this engine: loaded adapters, and the steps that let rows come and go."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one caller wants written: after which tokens, by which slot, how many."""

    ids: list[int]
    slot: int
    num_tokens: int


class WritingEngine:
    """An engine in this process with an adapter in each of its slots from 1 on."""

    def __init__(self, base: Path, adapters: list[Path], dtype: str = "float32") -> None:
        threads = torch.get_num_threads()
        self.engine = Engine(EngineConfig(base=str(base), dtype=dtype, threads=threads))
        for number, directory in enumerate(adapters):
            self._load(str(number), directory)
        self._place = {i + 1: str(i) for i in range(len(adapters))}
        self._keys = itertools.count(1)
        self.written: dict[int, list[int]] = {}
        self.running: list[int] = []

    def step(self, wishes: Iterable[Wish] = ()) -> list[int]:
        """One forward of all rows, new ones among them; the keys whose texts are complete."""
        begun = [self._begin(wish) for wish in wishes]
        step = port.Generate(begin=begun, keys=self.running, place=self._place)
        result = self.engine.step(step)
        assert isinstance(result, port.Generated), result
        done = []
        keys = [*self.running, *(begin.key for begin in begun)]
        for key, row in zip(keys, result.rows, strict=True):
            assert isinstance(row, port.SequenceOutput), row
            self.written.setdefault(key, []).extend(row.ids)
            if row.finish:
                done.append(key)
        self.running = [key for key in keys if key not in set(done)]
        return done

    def write(self, wishes: list[Wish]) -> list[list[int]]:
        """All of them from the first token to the last."""
        self.written.clear()
        self.step(wishes)
        keys = sorted(self.written)
        while self.running:
            self.step()
        return [self.written[key] for key in keys]

    def _begin(self, wish: Wish) -> port.StartSequence:
        return port.StartSequence(
            key=next(self._keys), row=port.Row(ids=wish.ids, slot=wish.slot),
            max_tokens=wish.num_tokens, sampling=port.Sampling(ignore_eos=True),
        )  # fmt: skip

    def _load(self, digest: str, directory: Path) -> None:
        found = self.engine.step(port.Inspect(directory=str(directory)))
        assert isinstance(found, port.Inspected), found
        files = [port.File(role=r, path=str(directory / n)) for r, n in found.files.items()]
        self.engine.step(port.Load(digest=digest, semantics=found.semantics, files=files))
