"""Calls are answered within a training step that pauses; nothing of theirs becomes its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from engine.engine import Engine, NextCall
from engine.port import Done, Envelope, Evict, Failure, Result, Stats, Step, Train
from engine.runtime.side_work import SideWork
from engine.runtime.step_loop import StepLoop
from engine.runtime.step_queue import StepQueue

TRAINING = Envelope(1, Train(slot=9, rows=[], keys=[], targets=[], learning_rate=0.1, step=0))


class PausingEngine:
    """Pauses once in each training step, and takes what a call raises there for a failure."""

    def __init__(self, before_pause: Callable[[], None]) -> None:
        self._before_pause = before_pause

    def enter_loop(self) -> None:
        """Any thread will do."""

    def run(self, step: Step, pause: NextCall | None = None, prepared: object = None) -> Result:
        del prepared
        if isinstance(step, Evict):
            raise RuntimeError("a bug of the engine")
        if pause is not None:
            self._before_pause()
            try:
                while (answer := pause()) is not None:
                    answer()
            except RuntimeError as error:
                return Failure(code="bad_training", message=str(error))
        return Done()


class LoopUnderTest:
    """A loop whose queue has one training step, and gets `calls` while that runs."""

    def __init__(self, *calls: Step, listens_to: int = 100) -> None:
        self._calls, self._listens_to = calls, listens_to
        self._inbox = StepQueue(0.1)
        self.answered: list[int] = []

    def run(self) -> None:
        self._inbox.put(TRAINING)
        engine = cast(Engine, PausingEngine(self._bring_calls))
        side = SideWork(self._inbox, lambda _: Done(), lambda: None, num_readers=1)
        try:
            StepLoop(engine, self._inbox, side, self._answer).run()
        finally:
            side.close()

    def _bring_calls(self) -> None:
        for number, step in enumerate(self._calls, 2):
            self._inbox.put(Envelope(number, step))
        self._inbox.close()

    def _answer(self, envelope: Envelope, result: Result) -> bool:
        assert isinstance(result, Done)
        self.answered.append(envelope.number)
        return len(self.answered) < self._listens_to


@pytest.mark.survival("F6")
def test_calls_that_come_during_a_training_step_are_answered_before_it() -> None:
    loop = LoopUnderTest(Stats(), Stats())
    loop.run()
    assert loop.answered == [2, 3, 1]


def test_a_bug_in_a_call_ends_the_engine_and_is_no_failure_of_the_training_around_it() -> None:
    loop = LoopUnderTest(Evict(slots=[1]), Stats())
    with pytest.raises(RuntimeError, match="a bug of the engine"):
        loop.run()
    assert loop.answered == []


def test_nothing_more_runs_once_nobody_listens() -> None:
    loop = LoopUnderTest(Stats(), Stats(), listens_to=1)
    loop.run()
    assert loop.answered == [2]
