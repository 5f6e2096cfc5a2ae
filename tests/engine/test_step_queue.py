"""The order in which steps run."""

from __future__ import annotations

import threading

import pytest

from engine.port import Envelope, Stats, Train
from engine.runtime.step_queue import StepQueue


def training(number: int) -> Envelope:
    return Envelope(
        number, Train(slot=9, rows=[], keys=[], targets=[], learning_rate=0.1, step=number)
    )


def other(number: int) -> Envelope:
    return Envelope(number, Stats())


def drained(inbox: StepQueue) -> list[int]:
    inbox.close()
    numbers = []
    while (envelope := inbox.next()) is not None:
        numbers.append(envelope.number)
    return numbers


def filled(patience: int, *envelopes: Envelope) -> StepQueue:
    inbox = StepQueue(patience)
    for envelope in envelopes:
        inbox.put(envelope)
    return inbox


def test_steps_of_one_class_keep_their_order() -> None:
    assert drained(filled(8, other(1), other(2), other(3))) == [1, 2, 3]
    assert drained(filled(8, training(1), training(2), training(3))) == [1, 2, 3]


@pytest.mark.survival("F6")
def test_a_training_step_yields_to_steps_that_came_after_it() -> None:
    assert drained(filled(8, training(1), other(2), other(3))) == [2, 3, 1]


@pytest.mark.survival("F6")
def test_a_training_step_gets_its_turn_after_patience_steps() -> None:
    inbox = filled(2, training(1), *(other(n) for n in range(2, 7)))
    assert drained(inbox) == [2, 3, 1, 4, 5, 6]


def test_every_training_step_waits_its_own_patience() -> None:
    inbox = filled(1, training(1), training(2), other(3), other(4), other(5))
    assert drained(inbox) == [3, 1, 4, 2, 5]


def test_steps_that_passed_while_nothing_trained_do_not_count() -> None:
    inbox = filled(2, other(1), other(2), other(3))
    assert [inbox.next().number for _ in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
    for envelope in (training(4), other(5), other(6)):
        inbox.put(envelope)
    assert drained(inbox) == [5, 6, 4]


def test_a_closed_inbox_hands_out_what_it_holds_and_then_says_it_is_over() -> None:
    inbox = filled(8, training(1), other(2))
    assert drained(inbox) == [2, 1]
    assert inbox.next() is None


def test_a_waiting_reader_wakes_for_a_step_and_for_the_end() -> None:
    inbox, seen = StepQueue(8), []
    reader = threading.Thread(target=lambda: seen.extend((inbox.next(), inbox.next())))
    reader.start()
    inbox.put(other(1))
    inbox.close()
    reader.join(timeout=5)
    assert seen == [other(1), None]
