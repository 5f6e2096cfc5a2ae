"""One run over one slot: training steps, evaluation after each epoch, early stopping, a snapshot of
the best weights. Touches no tensor, no database and no clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from engine.errors import Diverged
from engine.port import Done, Restore, Result, Snapshot, Train, Trained
from trainer.dataset.batches import training_batches
from trainer.engine_client import IN_FLIGHT, EngineSession, await_result
from trainer.errors import Paused, Stopping, TrainingDiverged
from trainer.evaluation.activations import fill
from trainer.evaluation.evaluate import dev_score, evaluate
from trainer.training.early_stopping import count_stale_epochs, is_best, should_stop
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_config import RunConfig


class Watcher(Protocol):
    """Callbacks of a run. Each of them may raise to end it."""

    def on_fill_end(self) -> None:
        """After the rows' frozen activations were computed, before the steps that need them."""
        ...

    def on_step_end(self) -> None:
        """After a training step."""
        ...

    @property
    def checkpoint_due(self) -> bool:
        """Whether to drain the steps in flight and call `on_checkpoint`."""
        ...

    def on_checkpoint(self, state: LoopState) -> None:
        """Within an epoch, with no step in flight, because a checkpoint was due."""
        ...

    def on_epoch_end(self, state: LoopState) -> bool:
        """After an epoch and its evaluation, with no step in flight; returns whether to
        continue.
        """
        ...

    def on_interrupt(self, state: LoopState) -> None:
        """The run is paused, or will be continued by another worker; no step is in flight."""
        ...


class Training:
    """One run over one slot. The session's check is called between the steps of an evaluation."""

    def __init__(
        self, session: EngineSession, slot: int, run_config: RunConfig, watcher: Watcher
    ) -> None:
        self.slot = slot
        self._session, self._run_config, self._watcher = session, run_config, watcher
        #: the state of the slot, without the steps in flight
        self._state = LoopState()
        #: the lowest trained layer that activations were computed for, in a tuple; none before
        self._begins: tuple[int | None] | None = None

    def train(self, state: LoopState | None = None) -> LoopState:
        """Starts from the beginning, or continues from a state whose weights the slot holds. Leaves
        the best weights in the slot (the last ones where there are no dev rows).
        """
        self._state = state or LoopState()
        try:
            self._epochs()
        except (Paused, Stopping):
            self._watcher.on_interrupt(self._state)
            raise
        if self._state.stale:
            self._session.call(Restore(slot=self.slot), Done)
        return self._state

    def _epochs(self) -> None:
        goes_on = True
        while goes_on and not should_stop(self._state, self._run_config.settings):
            self._fill(len(self._state.epochs))
            self._epoch()
            self._state = self._evaluate_epoch(self._state)
            goes_on = self._watcher.on_epoch_end(self._state)

    def _fill(self, epoch: int) -> None:
        """What the rows enter the lowest trained layer with, where that is not there yet."""
        begins = (self._run_config.frozen_below(epoch),)
        if begins != self._begins:
            fill(self._session, self._run_config.train, self.slot, *begins)
            self._begins = begins
            self._watcher.on_fill_end()

    def _evaluate_epoch(self, state: LoopState) -> LoopState:
        """The state after an epoch, its dev rows judged."""
        number, loss = len(state.epochs) + 1, state.loss_sum / self._run_config.steps_per_epoch
        begun = replace(state, loss_sum=0.0)
        if not self._run_config.dev:
            epoch = Epoch(number=number, loss=loss, dev={}, best=False)
            return replace(begun, epochs=(*state.epochs, epoch))
        head = self._run_config.head
        dev = evaluate(self._session, self._run_config.dev, head, self.slot)
        score = dev_score(head, dev, loss)
        is_whole = self._run_config.frozen_below(len(state.epochs)) is None
        better = is_best(score, state, is_whole=is_whole)
        if better:
            self._session.call(Snapshot(slot=self.slot), Done)
        epoch = Epoch(
            number=number,
            loss=loss,
            dev=dev.metrics,
            best=better,
            dev_loss=dev.loss,
            # JSON has no infinity, which is the score of dev rows without a metric
            score=score[0] if math.isfinite(score[0]) else None,
        )
        return replace(
            begun,
            epochs=(*state.epochs, epoch),
            best=score if better else state.best,
            stale=count_stale_epochs(state, improved=better, is_whole=is_whole),
        )

    def _epoch(self) -> None:
        """What is left of the epoch that has begun."""
        waiting: deque[Future[Result]] = deque()
        try:
            for step in self._steps(self._state):
                waiting.append(self._session.submit(step))
                if len(waiting) == IN_FLIGHT:
                    self._next(waiting)
                if self._watcher.checkpoint_due:
                    self._drain(waiting)
                    self._watcher.on_checkpoint(self._state)
            self._drain(waiting)
        except (Paused, Stopping):
            while waiting:  # they change the slot, so they are part of where it is left
                self._state = self._finish_step(self._state, waiting.popleft())
            raise
        finally:
            for future in waiting:
                # whoever ends the run closes the slot next; a step must not still be on its way
                # into it
                future.exception()

    def _drain(self, waiting: deque[Future[Result]]) -> None:
        while waiting:
            self._next(waiting)

    def _next(self, waiting: deque[Future[Result]]) -> None:
        self._state = self._finish_step(self._state, waiting.popleft())
        self._watcher.on_step_end()

    def _steps(self, state: LoopState) -> Iterator[Train]:
        settings, number = self._run_config.settings, len(state.epochs)
        lengths = [row.num_tokens for row in self._run_config.train]
        batches = training_batches(lengths, settings.batch_rows, seed=settings.seed, epoch=number)
        done = state.step - number * self._run_config.steps_per_epoch
        for step, batch in enumerate(batches[done:], start=state.step):
            yield self._train_step(step, batch, self._run_config.frozen_below(number))

    def _train_step(self, step: int, batch: list[int], frozen_below: int | None) -> Train:
        pieces = [piece for index in batch for piece in self._run_config.train[index].pieces]
        return Train(
            slot=self.slot,
            rows=[piece.row(self.slot) for piece in pieces],
            keys=[piece.key for piece in pieces],
            targets=[piece.target for piece in pieces],
            learning_rate=self._run_config.schedule.rate(step),
            step=step,
            frozen_below=frozen_below,
        )

    def _finish_step(self, state: LoopState, future: Future[Result]) -> LoopState:
        try:
            answer = await_result(future, Trained)
        except Diverged as error:
            raise self._divergence_error(state.step, str(error)) from error
        loss, norm = answer.loss, answer.grad_norm
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._divergence_error(state.step, f"the loss is {loss}, the gradient {norm}")
        divergence = state.divergence.after(loss, norm)
        if divergence.diverged:
            raise self._divergence_error(state.step, divergence.describe(loss, norm))
        return replace(
            state, step=state.step + 1, loss_sum=state.loss_sum + loss, divergence=divergence
        )

    def _divergence_error(self, step: int, words: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"Training diverged at step {step}, at the learning rate "
            f"{self._run_config.learning_rate:g}: {words.rstrip('.')}; a smaller one may help.",
            step=step,
        )
