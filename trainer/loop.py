"""train(): steps to the engine, dev after each epoch, stop early, keep the best. Touches no tensor
and no database.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from engine.errors import Diverged
from engine.port import Done, EnginePort, Restore, Result, Snapshot, Train, Trained
from trainer.activations import fill
from trainer.ask import ask, await_answer
from trainer.batches import num_batches, training_batches
from trainer.encode import EncodedRow
from trainer.errors import TrainingDiverged
from trainer.evaluate import Evaluation, evaluate
from trainer.heads import HEAD_DATA
from trainer.pace import Pace
from trainer.schedule import Schedule
from trainer.settings import TrainingSettings

#: one step runs in the engine while the next already waits there
IN_FLIGHT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What to train on and how."""

    train: list[EncodedRow]
    dev: list[EncodedRow]
    head: dict[str, Any]
    settings: TrainingSettings
    learning_rate: float

    @property
    def num_steps(self) -> int:
        return self.settings.epochs * num_batches(len(self.train), self.settings.batch_rows)

    @property
    def schedule(self) -> Schedule:
        share = self.settings.warmup_share
        return Schedule(peak=self.learning_rate, num_steps=self.num_steps, warmup_share=share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one pass came to."""

    number: int
    loss: float
    dev: dict[str, Any]
    best: bool


@dataclass(slots=True)
class Best:
    """The best dev score so far; between equal scores the lower loss is the better one."""

    #: the first of these that the evaluation has
    metrics: tuple[str, ...]
    more_is_better: bool
    score: tuple[float, float] = (-math.inf, -math.inf)
    stale: int = 0

    def improves(self, dev: Evaluation) -> bool:
        found = next(dev.metrics[name] for name in self.metrics if name in dev.metrics)
        worst = -math.inf if self.more_is_better else math.inf
        value = worst if found is None else float(found)
        loss = dev.loss if dev.loss is not None else math.inf
        score = (value if self.more_is_better else -value, -loss)
        better = score > self.score
        self.score, self.stale = (score, 0) if better else (self.score, self.stale + 1)
        return better


@dataclass(slots=True)
class Training:
    """One run over one slot. `watch` hears (share done, seconds left) after each step and may raise
    to end it.
    """

    port: EnginePort
    slot: int
    course: Course
    watch: Callable[[float, float | None], None]
    clock: Callable[[], float] = time.monotonic
    _pace: Pace = field(init=False)
    _step: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        num_evaluations = self.course.settings.epochs if self.course.dev else 0
        self._pace = Pace(self.course.num_steps, num_evaluations, self.clock)

    def train(self) -> list[Epoch]:
        """Leaves the best weights in the slot (the last ones where there are no dev rows)."""
        data = HEAD_DATA[self.course.head["kind"]]
        best = Best(data.metrics, data.more_is_better)
        epochs: list[Epoch] = []
        fill(
            self.port, self.course.train, self.slot,
            lambda: self.watch(self._pace.share, self._pace.eta_s),
        )  # fmt: skip
        self._pace.restart()
        for number in range(self.course.settings.epochs):
            loss = self._epoch(number)
            epochs.append(self._judged(number, loss, best))
            if best.stale >= self.course.settings.patience:
                break
        if best.stale:
            ask(self.port, Restore(slot=self.slot), Done)
        return epochs

    def _judged(self, number: int, loss: float, best: Best) -> Epoch:
        if not self.course.dev:
            return Epoch(number=number + 1, loss=loss, dev={}, best=False)
        dev = evaluate(
            self.port, self.course.dev, self.course.head, self.slot,
            lambda: self.watch(self._pace.share, self._pace.eta_s),
        )  # fmt: skip
        self._pace.evaluated()
        if better := best.improves(dev):
            ask(self.port, Snapshot(slot=self.slot), Done)
        self.watch(self._pace.share, self._pace.eta_s)
        return Epoch(number=number + 1, loss=loss, dev=dev.metrics, best=better)

    def _epoch(self, number: int) -> float:
        settings = self.course.settings
        lengths = [row.num_tokens for row in self.course.train]
        batches = training_batches(lengths, settings.batch_rows, seed=settings.seed, epoch=number)
        losses: list[float] = []
        waiting: deque[Future[Result]] = deque()
        try:
            for batch in batches:
                waiting.append(self.port.submit(self._train_step(batch)))
                if len(waiting) == IN_FLIGHT:
                    losses.append(self._loss(waiting.popleft()))
            while waiting:
                losses.append(self._loss(waiting.popleft()))
        finally:
            for future in waiting:
                # whoever ends the run closes the slot next; a step must not still be on its way
                # into it
                future.exception()
        return sum(losses) / len(losses)

    def _train_step(self, batch: list[int]) -> Train:
        step, self._step = self._step, self._step + 1
        pieces = [piece for index in batch for piece in self.course.train[index].pieces]
        return Train(
            slot=self.slot,
            rows=[piece.row(self.slot) for piece in pieces],
            keys=[piece.key for piece in pieces],
            targets=[piece.target for piece in pieces],
            learning_rate=self.course.schedule.rate(step),
            step=step,
        )

    def _loss(self, future: Future[Result]) -> float:
        try:
            loss = await_answer(future, Trained).loss
        except Diverged as error:
            raise self._diverged() from error
        if not math.isfinite(loss):
            raise self._diverged()
        self._pace.stepped()
        self.watch(self._pace.share, self._pace.eta_s)
        return loss

    def _diverged(self) -> TrainingDiverged:
        rate = self.course.learning_rate
        return TrainingDiverged(
            f"The loss stopped being a finite number near step {self._step}, at the learning rate "
            f"{rate:g}; a smaller one may help."
        )
