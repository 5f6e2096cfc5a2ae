"""Continuous batching on an engine in this process, with loaded adapters."""

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
class Request:
    """One generation request: prompt tokens, adapter slot, number of tokens."""

    ids: list[int]
    slot: int
    num_tokens: int


class GenerationEngine:
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

    def step(self, requests: Iterable[Request] = ()) -> list[int]:
        """Runs one step over all rows and the new requests; returns the keys that are complete."""
        started = [self._start(request) for request in requests]
        step = port.Generate(begin=started, keys=self.running, place=self._place)
        result = self.engine.step(step)
        assert isinstance(result, port.Generated), result
        done = []
        keys = [*self.running, *(start.key for start in started)]
        for key, row in zip(keys, result.rows, strict=True):
            assert isinstance(row, port.SequenceOutput), row
            self.written.setdefault(key, []).extend(row.ids)
            if row.finish:
                done.append(key)
        self.running = [key for key in keys if key not in set(done)]
        return done

    def generate(self, requests: list[Request]) -> list[list[int]]:
        """Runs all requests from the first token to the last."""
        self.written.clear()
        self.step(requests)
        keys = sorted(self.written)
        while self.running:
            self.step()
        return [self.written[key] for key in keys]

    def _start(self, request: Request) -> port.StartSequence:
        return port.StartSequence(
            key=next(self._keys), row=port.Row.of(ids=request.ids, slot=request.slot),
            max_tokens=request.num_tokens, sampling=port.Sampling(ignore_eos=True),
        )  # fmt: skip

    def _load(self, digest: str, directory: Path) -> None:
        inspection = self.engine.step(port.Inspect(directory=str(directory)))
        assert isinstance(inspection, port.Inspected), inspection
        files = [port.File(role=r, path=str(directory / n)) for r, n in inspection.files.items()]
        self.engine.step(port.Load(digest=digest, semantics=inspection.semantics, files=files))
