"""The engine: one resident base, and every step that runs on it.

`step` is the architecture: a step comes in as plain data, runs to its end on the base, and leaves
as plain data. Knows slots and rows; who asked, and why, is not its business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import port
from engine.adapter import ROLES, Adapter, read_adapter, staged_files, write_adapter
from engine.base import Base
from engine.config import EngineConfig
from engine.errors import BadAdapter, BadTraining, EngineError, NotLoaded, OutOfMemory
from engine.faults import device_lost, out_of_memory
from engine.memory.kv_cache import BLOCK_TOKENS
from engine.narrow import NarrowLinears
from engine.possible import possible_kinds, possible_poolings
from engine.resident import Placed, Resident
from engine.sites import Sites
from engine.steps.generate import Writing
from engine.steps.lone_reader import LoneReader
from engine.steps.packed_reader import PackedReader
from engine.steps.predict import predict
from engine.steps.running import Reader
from engine.steps.source_reader import SourceReader
from engine.steps.train import Training
from engine.threads import set_threads

_log = logging.getLogger(__name__)


class Engine:
    """Not thread-safe: one loop owns it."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._num_threads = set_threads(config.threads)
        self._base = Base(config)
        self._sites = Sites(self._base.model, self._base.boundaries)
        self._resident = Resident(self._base, config.num_slots, config.host_bytes)
        self._writing = Writing(self._base, _reader(self._base, self._sites, config))
        self._trainings: dict[int, Training] = {}
        #: training slots whose masters moved since they were last placed
        self._moved: set[int] = set()
        self._steps: dict[type[Any], Callable[[Any], port.Result]] = {
            port.Predict: self._predict, port.Write: self._write,
            port.Release: self._release, port.Load: self._load,
            port.Unload: self._unload, port.Compose: self._compose,
            port.Evict: self._evict, port.Inspect: self._inspect, port.OpenTraining: self._open,
            port.Train: self._train, port.Snapshot: self._snapshot, port.Restore: self._restore,
            port.Save: self._save, port.CloseTraining: self._close, port.Stats: self._stats,
        }  # fmt: skip

    def step(self, step: port.Step) -> port.Result:
        """Run one step to its end.

        An `EngineError` becomes a `Failure`. Anything else is a bug: it ends the engine, unless
        nothing of the step can have stayed.
        """
        try:
            return self._steps[type(step)](step)
        except EngineError as error:
            return port.Failure(code=error.code, message=str(error))
        except Exception as error:
            if (failure := _failure(step, error)) is None:
                raise
            return failure

    @property
    def info(self) -> port.EngineInfo:
        base = self._base
        return port.EngineInfo(
            base=base.name, fingerprint=base.fingerprint, family=base.family.name,
            hidden_size=base.hidden_size, num_layers=base.num_layers, max_tokens=base.max_tokens,
            dtype=base.numerics.name, numerics_reason=base.numerics.reason,
            device=str(base.numerics.device), num_threads=self._num_threads, packed=base.packed,
            num_slots=self._config.num_slots, slot_bytes=self._config.slot_bytes,
            sites=list(base.sites.values()), sublayers=list(base.sublayers),
            kinds=possible_kinds(base), poolings=possible_poolings(base),
            ranged=base.family.ranged, tokenizer_json=base.tokenizer_json,
            chat_template=base.chat_template, special_tokens=base.special_tokens,
            end_ids=list(base.end_ids), num_blocks=self._writing.num_blocks,
            block_tokens=BLOCK_TOKENS,
        )  # fmt: skip

    def _predict(self, step: port.Predict) -> port.Predicted:
        placed = self._placed(step.rows, step.place)
        return predict(self._base, self._sites, step.rows, placed, self._config.exact)

    def _write(self, step: port.Write) -> port.Decoded:
        placed = self._placed([begin.row for begin in step.begin], step.place)
        return self._writing.write(step, placed, self._resident)

    def _release(self, step: port.Release) -> port.Done:
        self._writing.release(step.keys)
        return port.Done()

    def _placed(self, rows: list[port.Row], place: dict[int, str]) -> dict[int, Placed]:
        for slot, digest in place.items():
            self._resident.place(slot, digest)
        slots = {row.slot for row in rows if row.slot}
        for slot in slots & self._moved:
            self._hold(slot, self._training(slot))
        return {slot: self._resident[slot] for slot in slots}

    def _load(self, step: port.Load) -> port.Loaded:
        if step.digest not in self._resident.loaded:
            adapter = read_adapter(step.files, self._base, step.semantics["head"])
            self._resident.load(step.digest, adapter)
        return port.Loaded(num_bytes=self._resident.loaded[step.digest].num_bytes)

    def _compose(self, step: port.Compose) -> port.Loaded:
        if step.digest not in self._resident.loaded:
            self._resident.compose(step.digest, step.first, step.parts)
        return port.Loaded(num_bytes=self._resident.loaded[step.digest].num_bytes)

    def _unload(self, step: port.Unload) -> port.Done:
        self._resident.unload(step.digest)
        return port.Done()

    def _evict(self, step: port.Evict) -> port.Done:
        self._resident.evict(step.slots)
        return port.Done()

    def _inspect(self, step: port.Inspect) -> port.Inspected:
        files = staged_files(Path(step.directory))
        adapter = read_adapter(files, self._base, step.head)
        names = {f.role: Path(f.path).name for f in files if f.role in ROLES}
        return port.Inspected(
            semantics=adapter.semantics, files=names, num_parameters=adapter.num_parameters
        )

    def _open(self, step: port.OpenTraining) -> port.TrainingOpened:
        training = Training(step, self._base, self._sites)
        slot = max(self._config.num_slots, *self._trainings, 0) + 1
        self._hold(slot, training)
        self._trainings[slot] = training
        return port.TrainingOpened(
            slot=slot, num_trainable=training.num_trainable, num_base=self._base.num_parameters
        )

    def _train(self, step: port.Train) -> port.Trained:
        training = self._training(step.slot)
        try:
            trained = training.train(step)
        except (IndexError, ValueError, RuntimeError) as error:
            if out_of_memory(error) or device_lost(error):
                raise
            raise BadTraining(f"the base cannot compute this training step: {error}") from error
        self._moved.add(step.slot)
        return trained

    def _snapshot(self, step: port.Snapshot) -> port.Done:
        self._training(step.slot).snapshot()
        return port.Done()

    def _restore(self, step: port.Restore) -> port.Done:
        self._training(step.slot).restore()
        self._moved.add(step.slot)
        return port.Done()

    def _save(self, step: port.Save) -> port.Saved:
        training = self._training(step.slot)
        adapter: Adapter = training.adapter
        files = write_adapter(adapter, Path(step.directory), self._base)
        return port.Saved(semantics=adapter.semantics, files=files, unmoved=training.unmoved())

    def _close(self, step: port.CloseTraining) -> port.Done:
        self._trainings.pop(step.slot, None)
        self._moved.discard(step.slot)
        self._resident.drop(step.slot)
        return port.Done()

    def _stats(self, step: port.Stats) -> port.Resident:
        del step
        return port.Resident(
            loaded={digest: held.host_bytes for digest, held in self._resident.loaded.items()},
            placed=dict(self._resident.digests), training=sorted(self._trainings),
            cache_bytes=sum(training.cache_bytes for training in self._trainings.values()),
            running=self._writing.keys, used_blocks=self._writing.used_blocks,
            num_blocks=self._writing.num_blocks,
        )  # fmt: skip

    def _training(self, slot: int) -> Training:
        if slot not in self._trainings:
            raise NotLoaded(f"slot {slot} is not training")
        return self._trainings[slot]

    def _hold(self, slot: int, training: Training) -> None:
        placed = training.placed()
        # masters may stop being finite, so what is in training never shares a product
        self._resident.hold(slot, replace(placed, group=f"{placed.group}/training {slot}"))
        self._moved.discard(slot)


def _reader(base: Base, sites: Sites, config: EngineConfig) -> Reader:
    if base.packed and base.writes and base.family.architecture == "decoder":
        narrow = NarrowLinears(base.linears, config.packed_bytes)
        budget, exact = config.kv_cache_bytes, config.exact
        return PackedReader(base, sites, narrow, budget=budget, exact=exact)
    if base.family.architecture == "seq2seq":
        return SourceReader(base, sites, budget=config.kv_cache_bytes, exact=config.exact)
    return LoneReader(base, sites)


def _failure(step: port.Step, error: Exception) -> port.Failure | None:
    """Of a step that raised what nobody foresaw; None where the engine must end.

    Steps that only read files or settings change nothing before they succeed, so what they were
    given fails alone, whatever it held.
    """
    if out_of_memory(error):
        return port.Failure(code=OutOfMemory.code, message=f"the step does not fit: {error}")
    contained: dict[type[Any], type[EngineError]] = {
        port.Inspect: BadAdapter, port.Load: BadAdapter, port.OpenTraining: BadTraining,
    }  # fmt: skip
    if type(step) not in contained or device_lost(error):
        return None
    name = type(step).__name__
    _log.error("a step failed unexpectedly", exc_info=error, extra={"action": "step.failed"})
    return port.Failure(
        code=contained[type(step)].code,
        message=f"{name} failed unexpectedly: {type(error).__name__}: {error}",
    )
