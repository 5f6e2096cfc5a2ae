"""The trainings that are open, each in a slot of its own, and the steps that change them.

Knows no queue: what may run between the parts of a step is given with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from engine import port
from engine.adapters.adapter import Adapter, write_adapter
from engine.adapters.head_layers import checked_head
from engine.adapters.resident import TRAINING_SLOTS, AdapterCache
from engine.config import EngineConfig
from engine.errors import BadTraining, NotLoaded, SaveFailed
from engine.failures import blame_input
from engine.forward.activation_storage import ActivationStorage
from engine.forward.prefix import shared_name
from engine.forward.prefix_cache import PrefixCache
from engine.model.base import Base
from engine.sites.hooks import Sites
from engine.training.training import Training

#: what is left of a step, for any thread: it touches nothing that other steps change
Remainder = Callable[[], port.Result]


class TrainingSlots:
    """Slots above those that serve."""

    def __init__(
        self, config: EngineConfig, base: Base, sites: Sites, resident: AdapterCache
    ) -> None:
        self._config, self._base, self._sites, self._resident = config, base, sites, resident
        self._activations = PrefixCache(
            ActivationStorage(
                config.activation_bytes, config.activation_disk_bytes, config.activation_folder
            )
        )
        self._trainings: dict[int, Training] = {}
        #: slots whose masters moved since they were last placed
        self._stale: set[int] = set()
        self._pause: Callable[[], None] = _go_on
        self.steps: dict[type[Any], Callable[[Any], port.Result | Remainder]] = {
            port.OpenTraining: self._open, port.Fill: self._fill, port.Forget: self._forget,
            port.Train: self._train, port.Snapshot: self._snapshot, port.Restore: self._restore,
            port.Average: self._average, port.Checkpoint: self._checkpoint, port.Save: self._save,
            port.CloseTraining: self._close,
        }  # fmt: skip

    @property
    def numbers(self) -> list[int]:
        return sorted(self._trainings)

    @property
    def cache_bytes(self) -> int:
        return self._activations.num_bytes

    def __getitem__(self, slot: int) -> Training:
        if slot not in self._trainings:
            raise NotLoaded(f"slot {slot} is not training")
        return self._trainings[slot]

    def place_moved(self, slots: Collection[int]) -> None:
        """Those of the slots whose masters moved."""
        for slot in self._stale.intersection(slots):
            self._hold(slot, self[slot])

    @contextmanager
    def pausing(self, pause: Callable[[], None]) -> Iterator[None]:
        """While this lasts `pause` is called between the parts of a training step."""
        self._pause = pause
        try:
            yield
        finally:
            self._pause = _go_on

    def _open(self, step: port.OpenTraining) -> port.TrainingOpened:
        slot = self._free_slot()
        training = Training(step, self._base, self._sites, self._activations)
        try:
            self._hold(slot, training)
        except BaseException:
            training.close()
            raise
        self._trainings[slot] = training
        return port.TrainingOpened(
            slot=slot,
            num_trainable=training.num_trainable,
            num_steps=training.num_steps,
        )

    def _fill(self, step: port.Fill) -> port.Done:
        training, rows = self[step.slot], range(len(step.rows))
        chunks = [range(i, i + 1) for i in rows] if self._config.exact else [rows]
        with blame_input("rows"):
            for chunk in chunks:
                training.fill(step, chunk)
        return port.Done()

    def _forget(self, step: port.Forget) -> port.Done:
        self._activations.forget(shared_name(step.cache))
        return port.Done()

    def _train(self, step: port.Train) -> port.Trained:
        training = self[step.slot]
        with blame_input("training step"):
            trained = training.train(step, self._pause)
        self._stale.add(step.slot)
        return trained

    def _snapshot(self, step: port.Snapshot) -> port.Done:
        self[step.slot].snapshot()
        return port.Done()

    def _restore(self, step: port.Restore) -> port.Done:
        self[step.slot].restore()
        self._stale.add(step.slot)
        return port.Done()

    def _average(self, step: port.Average) -> port.Done:
        self[step.slot].average([self[slot] for slot in step.slots])
        self._stale.add(step.slot)
        return port.Done()

    def _checkpoint(self, step: port.Checkpoint) -> Remainder:
        return self[step.slot].checkpoint(Path(step.directory))

    def _save(self, step: port.Save) -> Remainder:
        training = self[step.slot]
        adapter = training.adapter
        if step.head:
            head, layers = checked_head({**adapter.head, **step.head}, self._base)
            layers.check(adapter.head_weights)
            adapter = replace(adapter, head=head)
        return partial(
            _write_version,
            adapter.copy(), Path(step.directory), self._base, training.find_unreached(),
        )  # fmt: skip

    def _close(self, step: port.CloseTraining) -> port.Done:
        if (training := self._trainings.pop(step.slot, None)) is not None:
            training.close()
        self._stale.discard(step.slot)
        self._resident.drop(step.slot)
        return port.Done()

    def _hold(self, slot: int, training: Training) -> None:
        self._resident.hold(slot, training.place())
        self._stale.discard(slot)

    def _free_slot(self) -> int:
        first = self._config.num_slots + 1
        for slot in range(first, first + TRAINING_SLOTS):
            if slot not in self._trainings:
                return slot
        raise BadTraining(
            f"{len(self._trainings)} trainings are open, as many as the engine has slots for; "
            "close one first"
        )


def _go_on() -> None:
    """Nothing runs in between."""


def _write_version(adapter: Adapter, directory: Path, base: Base, unmoved: list[str]) -> port.Saved:
    try:
        files = write_adapter(adapter, directory, base)
    except OSError as error:  # of a full disk, say: whoever else is served goes on
        raise SaveFailed(f"the adapter could not be written: {error.strerror}") from error
    return port.Saved(semantics=adapter.semantics, files=files, unmoved=unmoved)
