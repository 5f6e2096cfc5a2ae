"""A fake engine that keeps the port's contract without torch, for tests of everything above it.

It loads, places, predicts, trains and saves for real: digests decide answers, failures travel as
values, and training learns.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine import port
from engine.errors import (
    BadRow,
    CannotCompose,
    EngineError,
    EngineGone,
    NotLoaded,
    WrongContent,
)
from engine.testing.bag_generation import BagWriting
from engine.testing.bag_model import BagModel, features, inspect_bag
from engine.testing.bag_training import BagTraining
from engine.testing.fake_base import fake_info

_TRAINING_SLOTS = 1000


@dataclass(slots=True)
class FakeEngine:
    """An `EnginePort`.

    Set `broken` to make the next steps fail, call `die()` to lose everything as a crash would.
    """

    loaded: dict[str, BagModel] = field(default_factory=dict)
    placed: dict[int, str] = field(default_factory=dict)
    training: dict[int, BagTraining] = field(default_factory=dict)
    writing: BagWriting = field(default_factory=BagWriting)
    #: every step submitted, for tests that count
    steps: list[port.Step] = field(default_factory=list)
    #: raised by the next submits of a step of this type
    broken: dict[type, EngineError] = field(default_factory=dict)
    #: token id whose rows fail alone
    poison: int | None = None
    generation: int = 1
    num_slots: int = 8
    closed: bool = False
    #: as between a crash and the restart: every step is lost
    down: bool = False

    @property
    def info(self) -> port.EngineInfo:
        return fake_info(self.num_slots)

    @property
    def pid(self) -> int:
        return os.getpid()

    @property
    def is_alive(self) -> bool:
        return not (self.closed or self.down)

    def submit(self, step: port.Step) -> Future[port.Result]:
        self.steps.append(step)
        future: Future[port.Result] = Future()
        try:
            future.set_result(self._run(step))
        except EngineError as error:
            future.set_exception(error)
        return future

    def die(self) -> None:
        """Everything loaded is gone, as after a crash and restart."""
        self.generation += 1
        self.loaded, self.placed, self.training = {}, {}, {}
        self.writing = BagWriting()

    def close(self) -> None:
        self.closed = True

    def _run(self, step: port.Step) -> port.Result:
        if not self.is_alive:
            raise EngineGone
        if type(step) in self.broken:
            raise self.broken[type(step)]
        match step:
            case port.Load():
                files = {file.role: _verify(file) for file in step.files}
                self.loaded[step.digest] = BagModel.read(files, step.semantics)
                num_bytes = self.loaded[step.digest].weight.nbytes
                return port.Loaded(num_bytes=num_bytes, host_bytes=num_bytes)
            case port.Compose():
                self.loaded[step.digest] = self._compose(step)
                return port.Loaded(num_bytes=self.loaded[step.digest].weight.nbytes)
            case port.Unload():
                self.loaded.pop(step.digest, None)
                self.placed = {s: d for s, d in self.placed.items() if d != step.digest}
            case port.Evict():
                self.placed = {s: d for s, d in self.placed.items() if s not in step.slots}
            case port.Inspect():
                return inspect_bag(Path(step.directory), step.head, step.other_base)
            case port.Predict():
                return self._predict(step)
            case port.Generate():
                self._place(step.place)
                return self.writing.write(step, self._model)
            case port.FreeSequences():
                self.writing.release(step.keys)
            case port.Forget():
                pass
            case port.CloseTraining():
                self.training.pop(step.slot, None)
            case port.Stats():
                sizes = {d: w.weight.nbytes for d, w in self.loaded.items()}
                return port.EngineStats(
                    loaded=sizes,
                    placed=dict(self.placed),
                    training=sorted(self.training),
                    cache_bytes=0,
                    running=sorted(self.writing.rows),
                    used_blocks=self.writing.used_blocks,
                    num_blocks=self.info.num_blocks,
                )
            case _:
                return self._train(step)
        return port.Done()

    def _compose(self, step: port.Compose) -> BagModel:
        for digest in (step.first, *step.parts):
            if digest not in self.loaded:
                raise NotLoaded(f"the composition needs {digest}, which is not loaded")
        first = self.loaded[step.first]
        parts = [(self.loaded[digest], np.float32(w)) for digest, w in step.parts.items()]
        if any(model.weight.shape != first.weight.shape for model, _ in parts):
            raise CannotCompose("the models have different numbers of outputs")
        return BagModel(
            weight=sum((m.weight * w for m, w in parts), np.zeros_like(first.weight)),
            bias=sum((m.bias * w for m, w in parts), np.zeros_like(first.bias)),
            head=first.head,
        )

    def _place(self, place: dict[int, str]) -> None:
        for slot, digest in place.items():
            if not 1 <= slot <= self.num_slots:
                raise NotLoaded(
                    f"slot {slot} does not exist; there are slots 1 to {self.num_slots}"
                )
            if digest not in self.loaded:
                raise NotLoaded(f"slot {slot} was to hold {digest}, which is not loaded")
            self.placed[slot] = digest

    def _predict(self, step: port.Predict) -> port.Predicted:
        self._place(step.place)
        return port.Predicted(
            rows=[self._row(row) for row in step.rows],
            forward_s=1e-4,
            num_tokens=sum(row.num_tokens for row in step.rows),
            num_adapters=len({row.slot for row in step.rows if row.slot}),
        )

    def _row(self, row: port.Row) -> port.Array | port.Failure:
        ids = row.ids
        if not ids or self.poison in ids:
            return port.Failure(code=BadRow.code, message="the row cannot be computed")
        if row.slot == 0:  # the bare base answers hidden states
            hidden = np.stack([features([i]) for i in ids])
            return port.Array.of(hidden.mean(0) if row.pooling else hidden)
        return port.Array.of(self._model(row.slot).logits(ids))

    def _model(self, slot: int) -> BagModel:
        if slot in self.training:
            return self.training[slot].model
        if slot not in self.placed:
            raise NotLoaded(f"slot {slot} holds nothing")
        return self.loaded[self.placed[slot]]

    def _train(self, step: port.Step) -> port.Result:
        if isinstance(step, port.OpenTraining):
            return self._open(step)
        assert not isinstance(
            step,
            port.Load
            | port.Compose
            | port.Unload
            | port.Inspect
            | port.Predict
            | port.Evict
            | port.Forget
            | port.Stats
            | port.CloseTraining
            | port.Generate
            | port.FreeSequences,
        )
        if step.slot not in self.training:
            raise NotLoaded(f"slot {step.slot} is not training")
        training = self.training[step.slot]
        match step:
            case port.Train():
                return training.learn(step)
            case port.Snapshot():
                training.best = training.model.copy()
            case port.Restore():
                training.model = training.best.copy()
            case port.Average():
                training.average([self.training[slot] for slot in step.slots])
            case port.Checkpoint():
                return training.checkpoint(Path(step.directory))
            case port.Save():
                return training.model.save(Path(step.directory), step.head)
            case port.Fill():
                pass  # there are no layers, so nothing stays the same below one
        return port.Done()

    def _open(self, step: port.OpenTraining) -> port.TrainingOpened:
        training = BagTraining.from_step(step)
        slot = max(self.training, default=_TRAINING_SLOTS) + 1
        self.training[slot] = training
        return port.TrainingOpened(
            slot=slot,
            num_trainable=training.model.num_parameters,
            num_steps=training.num_steps,
        )


def write_fake_adapter(
    directory: Path,
    labels: list[str] | None = None,
    seed: int = 0,
    head: dict[str, Any] | None = None,
) -> Path:
    """A version directory the fake can load; every seed is another digest."""
    head = head or {"kind": "classify", "labels": labels or ["no", "yes"], "pooling": "native"}
    directory.mkdir(parents=True, exist_ok=True)
    BagModel.random(head, seed).save(directory)
    return directory


def _verify(file: port.File) -> Path:
    """Raises WrongContent, as the real engine does; a file that cannot be read is its reader's."""
    path = Path(file.path)
    with suppress(OSError):
        if file.sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise WrongContent(f"the {file.role} file is not what the version records")
    return path
