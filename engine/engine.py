"""The engine: one resident base, and every step that runs on it.

`step` is the only entry point: a step arrives as plain data, runs to its end on the base, and its
result is plain data. Knows slots and rows; no caller and no task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine import port
from engine.adapters.adapter import Adapter, read_adapter, write_adapter
from engine.adapters.capabilities import possible_kinds, possible_poolings
from engine.adapters.head_layers import checked_head
from engine.adapters.inspection import inspect
from engine.adapters.resident import AdapterCache, Placed
from engine.config import EngineConfig
from engine.errors import BadTraining, EngineError, NotLoaded, SaveFailed
from engine.failures import blame_input, step_failure
from engine.forward.activation_storage import ActivationStorage
from engine.forward.predict import predict
from engine.forward.prefix import CachedRows, shared_name
from engine.forward.prefix_cache import PrefixCache
from engine.generation.generate import Generation
from engine.generation.runners import make_runner
from engine.kv_cache.pool import BLOCK_TOKENS
from engine.model.base import Base
from engine.model.base_embedding import read_base_embedding
from engine.model.source import base_path
from engine.model.threads import physical_cores, set_threads
from engine.sites.hooks import Sites
from engine.training.training import Training

#: runs a step that goes before the rest of a training step; None where that goes on
NextCall = Callable[[], Callable[[], None] | None]
#: what runs long enough to let others in between; a running generation cannot hold another one
_PAUSING = port.Train | port.Fill | port.Predict


class Engine:
    """Not thread-safe: one loop owns it."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._num_threads = set_threads(config.threads)
        self._base = Base(config)
        self._embedding = read_base_embedding(
            base_path(config.base), self._base.family.architecture, self._base.max_tokens
        )
        self._sites = Sites(self._base.model, self._base.boundaries)
        self._resident = AdapterCache(self._base, config.num_slots, config.host_bytes)
        self._generation = Generation(self._base, make_runner(self._base, self._sites, config))
        self._activations = PrefixCache(
            ActivationStorage(
                config.activation_bytes, config.activation_disk_bytes, config.activation_folder
            )
        )
        self._trainings: dict[int, Training] = {}
        #: training slots whose masters moved since they were last placed
        self._stale_slots: set[int] = set()
        self._steps: dict[type[Any], Callable[[Any], port.Result]] = {
            port.Predict: self._predict, port.Generate: self._generate,
            port.FreeSequences: self._release, port.Load: self._load,
            port.Unload: self._unload, port.Compose: self._compose,
            port.Evict: self._evict, port.Inspect: self._inspect, port.OpenTraining: self._open,
            port.Fill: self._fill, port.Forget: self._forget,
            port.Train: self._train, port.Snapshot: self._snapshot, port.Restore: self._restore,
            port.Average: self._average, port.Checkpoint: self._checkpoint, port.Save: self._save,
            port.CloseTraining: self._close, port.Stats: self._stats,
        }  # fmt: skip

    def step(self, step: port.Step, pause: NextCall | None = None) -> port.Result:
        """Run one step to its end.

        On a CPU, a step of training asks `pause` between products what to run before it goes on;
        on a device another thread runs the backward, and steps are short. An `EngineError` becomes
        a `Failure`. Anything else is a bug: it ends the engine, unless nothing of the step can have
        stayed.
        """
        try:
            if pause is None or not self._pauses(step):
                return self._steps[type(step)](step)
            with self._sites.pausing(partial(self._pause, pause)):
                return self._steps[type(step)](step)
        except EngineError as error:
            return port.Failure(code=error.code, message=str(error))
        except Exception as error:
            if (failure := step_failure(step, error)) is None:
                raise
            return failure

    def _pauses(self, step: port.Step) -> bool:
        return isinstance(step, _PAUSING) and self._base.numerics.device.type == "cpu"

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
        placed = self._place(step.rows, step.place)
        known = self._cached_rows(step) if step.keys else None
        return predict(self._base, self._sites, step.rows, placed, self._config.exact, known)

    def _cached_rows(self, step: port.Predict) -> CachedRows:
        """What was filled of the rows, which are all of one training slot."""
        slots = {row.slot for row in step.rows}
        if len(slots) != 1 or len(step.keys) != len(step.rows):
            raise BadTraining(
                f"{len(step.keys)} keys came with {len(step.rows)} rows of {len(slots)} slots; "
                "keys name every row of one training slot"
            )
        return CachedRows(self._training(*slots).prefix, step.keys)

    def _generate(self, step: port.Generate) -> port.Generated:
        placed = self._place([begin.row for begin in step.begin], step.place)
        return self._generation.generate(step, placed, self._resident)

    def _release(self, step: port.FreeSequences) -> port.Done:
        self._generation.release(step.keys)
        return port.Done()

    def _place(self, rows: list[port.Row], place: dict[int, str]) -> dict[int, Placed]:
        for slot, digest in place.items():
            self._resident.place(slot, digest)
        slots = {row.slot for row in rows if row.slot}
        for slot in slots & self._stale_slots:
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
        return inspect(step, self._base)

    def _open(self, step: port.OpenTraining) -> port.TrainingOpened:
        training = Training(step, self._base, self._sites, self._activations)
        slot = max(self._config.num_slots, *self._trainings, 0) + 1
        self._hold(slot, training)
        self._trainings[slot] = training
        return port.TrainingOpened(
            slot=slot,
            num_trainable=training.num_trainable,
            num_steps=training.num_steps,
        )

    def _fill(self, step: port.Fill) -> port.Done:
        training, rows = self._training(step.slot), range(len(step.rows))
        chunks = [range(i, i + 1) for i in rows] if self._config.exact else [rows]
        with blame_input("rows"):
            for chunk in chunks:
                training.fill(step, chunk)
        return port.Done()

    def _forget(self, step: port.Forget) -> port.Done:
        self._activations.forget(shared_name(step.cache))
        return port.Done()

    def _train(self, step: port.Train) -> port.Trained:
        training = self._training(step.slot)
        with blame_input("training step"):
            trained = training.train(step)
        self._stale_slots.add(step.slot)
        return trained

    def _snapshot(self, step: port.Snapshot) -> port.Done:
        self._training(step.slot).snapshot()
        return port.Done()

    def _restore(self, step: port.Restore) -> port.Done:
        self._training(step.slot).restore()
        self._stale_slots.add(step.slot)
        return port.Done()

    def _average(self, step: port.Average) -> port.Done:
        self._training(step.slot).average([self._training(slot) for slot in step.slots])
        self._stale_slots.add(step.slot)
        return port.Done()

    def _checkpoint(self, step: port.Checkpoint) -> port.Checkpointed:
        return self._training(step.slot).checkpoint(Path(step.directory))

    def _save(self, step: port.Save) -> port.Saved:
        training = self._training(step.slot)
        adapter: Adapter = training.adapter
        if step.head:
            head, layers = checked_head({**adapter.head, **step.head}, self._base)
            layers.check(adapter.head_weights)
            adapter = replace(adapter, head=head)
        try:
            files = write_adapter(adapter, Path(step.directory), self._base)
        except OSError as error:  # of a full disk, say: whoever else is served goes on
            raise SaveFailed(f"the adapter could not be written: {error.strerror}") from error
        return port.Saved(
            semantics=adapter.semantics, files=files, unmoved=training.find_unreached()
        )

    def _close(self, step: port.CloseTraining) -> port.Done:
        if (training := self._trainings.pop(step.slot, None)) is not None:
            training.close()
        self._stale_slots.discard(step.slot)
        self._resident.drop(step.slot)
        return port.Done()

    def _stats(self, step: port.Stats) -> port.EngineStats:
        del step
        return port.EngineStats(
            loaded={digest: held.host_bytes for digest, held in self._resident.loaded.items()},
            placed=dict(self._resident.digests), training=sorted(self._trainings),
            cache_bytes=self._activations.num_bytes,
            running=self._generation.keys, used_blocks=self._generation.used_blocks,
            num_blocks=self._generation.num_blocks,
        )  # fmt: skip

    def _training(self, slot: int) -> Training:
        if slot not in self._trainings:
            raise NotLoaded(f"slot {slot} is not training")
        return self._trainings[slot]

    def _hold(self, slot: int, training: Training) -> None:
        placed = training.place()
        # masters may stop being finite, so what is in training never shares a product
        self._resident.hold(slot, replace(placed, group=f"{placed.group}/training {slot}"))
        self._stale_slots.discard(slot)
