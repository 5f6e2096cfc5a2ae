"""The engine: one resident base, and every step that runs on it.

A step arrives as plain data, and its result is plain data. Most run to their end in the loop that
owns the engine; what others read before or write after that may be done beside the loop. Knows
slots and rows; no caller and no task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch

from engine import port
from engine.adapters.capabilities import possible_kinds, possible_poolings
from engine.adapters.inspection import inspect
from engine.adapters.loaded_adapter import LoadedAdapter, load_adapter
from engine.adapters.resident import AdapterCache, Placed
from engine.config import EngineConfig
from engine.errors import BadTraining, EngineError, OutOfMemory
from engine.failures import step_failure
from engine.forward.predict import predict
from engine.forward.predict_graphs import make_predict_graphs
from engine.forward.prefix import CachedRows
from engine.generation.generate import Generation
from engine.generation.runners import make_runner
from engine.kv_cache.pool import BLOCK_TOKENS
from engine.model.base import Base
from engine.model.base_embedding import read_base_embedding
from engine.model.source import base_path
from engine.model.threads import physical_cores, set_threads, use_one_thread
from engine.sites.hooks import Sites
from engine.training.training_slots import Remainder, TrainingSlots

#: runs a step that goes before the rest of a training step; None where that goes on
NextCall = Callable[[], Callable[[], None] | None]
#: what was done of a step beside the loop
Prepared = LoadedAdapter | port.Result
#: what runs long enough to let others in between; a running generation cannot hold another one
_PAUSING = port.Train | port.Fill | port.Predict

_Outcome = TypeVar("_Outcome")


class Engine:
    """Not thread-safe: one loop owns it, but for what says otherwise."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._num_threads = set_threads(config.threads)
        self._base = Base(config)
        self._embedding = read_base_embedding(
            base_path(config.base), self._base.family.architecture, self._base.max_tokens
        )
        self._sites = Sites(self._base.model, self._base.boundaries)
        self._base.fuse_activations(self._sites.acts_at)
        self._predict_graphs = make_predict_graphs(self._base, self._sites, config)
        self._resident = AdapterCache(
            self._base, config.num_slots, config.host_bytes, config.slot_bytes
        )
        self._generation = Generation(self._base, make_runner(self._base, self._sites, config))
        self._trainings = TrainingSlots(config, self._base, self._sites, self._resident)
        self._steps: dict[type[Any], Callable[[Any], port.Result | Remainder]] = {
            port.Predict: self._predict, port.Generate: self._generate,
            port.FreeSequences: self._release,
            port.Unload: self._unload, port.Compose: self._compose,
            port.Evict: self._evict, port.Stats: self._stats, **self._trainings.steps,
        }  # fmt: skip

    def step(self, step: port.Step, pause: NextCall | None = None) -> port.Result:
        """All of a step, here and now."""
        prepared = self.prepare(step) if isinstance(step, port.Load | port.Inspect) else None
        result = self.run(step, pause, prepared)
        return result() if callable(result) else result

    def enter_loop(self) -> None:
        """The calling thread is the loop's from now on."""
        set_threads(self._num_threads)
        self._base.numerics.enter()

    def enter_side(self) -> None:
        """The calling thread works beside the loop, and must not take the loop's cores."""
        use_one_thread()
        self._base.numerics.enter()

    def prepare(self, step: port.Load | port.Inspect) -> Prepared:
        """What a step reads, before its turn. In any thread: it touches files and what never
        changes of the base.
        """
        if isinstance(step, port.Inspect):
            return _contain(step, partial(inspect, step, self._base))
        return _contain(step, partial(load_adapter, step.files, self._base, step.semantics))

    def run(
        self, step: port.Step, pause: NextCall | None = None, prepared: Prepared | None = None
    ) -> port.Result | Remainder:
        """A step's turn: its result, or what is left of it, which any thread may do.

        A step of training asks `pause` what to run before it goes on: on a CPU between products; on
        a device, where another thread runs the backward, between its parts. An `EngineError`
        becomes a `Failure`. Anything else is a bug: it ends the engine, unless nothing of the step
        can have stayed.
        """
        if prepared is not None:
            return _contain(step, partial(self._take, step, prepared))
        with self._pausing(step, pause):
            result = _contain(step, partial(self._steps[type(step)], step))
        return partial(_contain, step, result) if callable(result) else result

    def _pausing(self, step: port.Step, pause: NextCall | None) -> AbstractContextManager[None]:
        if pause is None or not isinstance(step, _PAUSING):
            return nullcontext()
        places = self._sites if self._base.numerics.device.type == "cpu" else self._trainings
        return places.pausing(partial(self._pause, pause))

    def _pause(self, pause: NextCall) -> None:
        """Calls run as between two steps: nothing acts at the base, and gradients are on."""
        while (answer := pause()) is not None:
            with (
                self._sites.set_aside(),
                self._base.set_aside(),
                torch.inference_mode(mode=False),
                torch.enable_grad(),
            ):
                answer()

    @property
    def info(self) -> port.EngineInfo:
        base = self._base
        return port.EngineInfo(
            base=base.name, fingerprint=base.fingerprint, family=base.family.name,
            hidden_size=base.hidden_size, num_layers=base.num_layers,
            num_parameters=base.num_parameters, max_tokens=base.max_tokens,
            dtype=base.numerics.name, numerics_reason=base.numerics.reason,
            exact=self._config.exact,
            device=str(base.numerics.device), num_threads=self._num_threads, packed=base.packed,
            num_slots=self._config.num_slots, slot_bytes=self._config.slot_bytes,
            sites=list(base.sites.values()), sublayers=list(base.sublayers),
            kinds=possible_kinds(base), poolings=possible_poolings(base),
            ranged=base.family.ranged, tokenizer_json=base.tokenizer_json,
            chat_templates=dict(base.chat_templates), special_tokens=dict(base.special_tokens),
            end_ids=list(base.end_ids),
            num_embeddings=base.vocabulary_size, num_blocks=self._generation.num_blocks,
            block_tokens=BLOCK_TOKENS, embedding=self._embedding,
            num_cores=physical_cores(), num_devices=base.numerics.num_devices,
        )  # fmt: skip

    def _predict(self, step: port.Predict) -> port.Predicted:
        no_room = self._place(step.place)
        placed = self._adapters_in({row.slot for row in step.rows} - no_room.keys())
        known = self._cached_rows(step) if step.keys else None
        # a training and the proof of its version must give the same bits; a graph, whose shapes are
        # others, answers only from the third batch of its size on
        graphs = None if step.background else self._predict_graphs
        with self._resident.reading(placed):
            return predict(
                self._base, self._sites, step.rows, placed, exact=self._config.exact,
                slot_failures=no_room, cached=known, graphs=graphs,
            )  # fmt: skip

    def _cached_rows(self, step: port.Predict) -> CachedRows:
        """What was filled of the rows, which are all of one training slot."""
        slots = {row.slot for row in step.rows}
        if len(slots) != 1 or len(step.keys) != len(step.rows):
            raise BadTraining(
                f"{len(step.keys)} keys came with {len(step.rows)} rows of {len(slots)} slots; "
                "keys name every row of one training slot"
            )
        return CachedRows(self._trainings[next(iter(slots))].prefix, step.keys)

    def _generate(self, step: port.Generate) -> port.Generated:
        for failure in self._place(step.place).values():
            raise OutOfMemory(failure.message)
        placed = self._adapters_in({begin.row.slot for begin in step.begin})
        return self._generation.generate(step, placed, self._resident)

    def _release(self, step: port.FreeSequences) -> port.Done:
        self._generation.release(step.keys)
        return port.Done()

    def _place(self, place: dict[int, str]) -> dict[int, port.Failure]:
        """Why some of the slots are empty: the rows of others can be computed without them."""
        no_room: dict[int, port.Failure] = {}
        for slot, digest in place.items():
            try:
                self._resident.place(slot, digest)
            except OutOfMemory as error:
                no_room[slot] = port.Failure(code=error.code, message=str(error))
        return no_room

    def _adapters_in(self, slots: set[int]) -> dict[int, Placed]:
        self._trainings.place_moved(slots)
        return {slot: self._resident[slot] for slot in slots if slot}

    def _take(self, step: port.Step, prepared: Prepared) -> port.Result:
        """What was done beside the loop becomes the engine's, or is the step's result."""
        if isinstance(step, port.Load) and step.digest in self._resident.loaded:
            return self._describe_loaded(step.digest)
        if not isinstance(prepared, LoadedAdapter):
            return prepared
        assert isinstance(step, port.Load)
        self._resident.load(step.digest, prepared)
        return self._describe_loaded(step.digest)

    def _describe_loaded(self, digest: str) -> port.Loaded:
        held = self._resident.loaded[digest]
        return port.Loaded(num_bytes=held.num_bytes, host_bytes=held.host_bytes)

    def _compose(self, step: port.Compose) -> port.Loaded:
        if step.digest not in self._resident.loaded:
            self._resident.compose(step.digest, step.first, step.parts)
        return self._describe_loaded(step.digest)

    def _unload(self, step: port.Unload) -> port.Done:
        self._resident.unload(step.digest)
        return port.Done()

    def _evict(self, step: port.Evict) -> port.Done:
        self._resident.evict(step.slots)
        return port.Done()

    def _stats(self, step: port.Stats) -> port.EngineStats:
        del step
        return port.EngineStats(
            loaded={digest: held.host_bytes for digest, held in self._resident.loaded.items()},
            placed=dict(self._resident.digests), training=self._trainings.numbers,
            cache_bytes=self._trainings.cache_bytes,
            running=self._generation.keys, used_blocks=self._generation.used_blocks,
            num_blocks=self._generation.num_blocks,
        )  # fmt: skip


def _contain(step: port.Step, call: Callable[[], _Outcome]) -> _Outcome | port.Failure:
    """A failure where the step may fail alone."""
    try:
        return call()
    except EngineError as error:
        return port.Failure(code=error.code, message=str(error))
    except Exception as error:
        if (failure := step_failure(step, error)) is None:
            raise
        return failure
