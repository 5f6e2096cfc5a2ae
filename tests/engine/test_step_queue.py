"""The order in which steps run, by a clock that stands still but for what a test lets pass."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.port import (
    Checkpoint,
    CloseTraining,
    Envelope,
    Fill,
    Generate,
    OpenTraining,
    Predict,
    Save,
    Snapshot,
    Stats,
    Step,
    Train,
    is_background,
)
from engine.runtime.step_queue import StepQueue

#: calls are a little longer, so that no sum of them falls short by rounding
PIECE_S, CALL_S = 0.05, 0.051


class Clock:
    """Read by the queue, moved by a test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def training(number: int) -> Envelope:
    return Envelope(
        number, Train(slot=9, rows=[], keys=[], targets=[], learning_rate=0.1, step=number)
    )


def call(number: int) -> Envelope:
    return Envelope(number, Stats())


def drained(inbox: StepQueue, clock: Clock) -> list[int]:
    inbox.close()
    numbers = []
    while (envelope := inbox.next()) is not None:
        clock.now += PIECE_S if is_background(envelope.body) else CALL_S
        numbers.append(envelope.number)
    return numbers


def passing(inbox: StepQueue, clock: Clock) -> list[int]:
    """The calls that run before a paused step goes on."""
    numbers = []
    while (envelope := inbox.next_call()) is not None:
        clock.now += CALL_S
        numbers.append(envelope.number)
    return numbers


def filled(share: float, *envelopes: Envelope) -> tuple[StepQueue, Clock]:
    clock = Clock()
    inbox = StepQueue(share, clock)
    for envelope in envelopes:
        inbox.put(envelope)
    return inbox, clock


def test_steps_of_one_class_keep_their_order() -> None:
    assert drained(*filled(0.1, call(1), call(2), call(3))) == [1, 2, 3]
    assert drained(*filled(0.1, training(1), training(2), training(3))) == [1, 2, 3]


@pytest.mark.survival("F6")
def test_training_yields_to_calls_that_came_after_it() -> None:
    assert drained(*filled(0.1, training(1), call(2), call(3))) == [2, 3, 1]


@pytest.mark.survival("F6")
@pytest.mark.parametrize(("share", "calls"), [(0.5, 1), (0.25, 3), (0.1, 9)])
def test_training_gets_its_share_while_calls_wait(share: float, calls: int) -> None:
    waiting = [call(n) for n in range(10, 10 + 3 * calls)]
    order = drained(*filled(share, training(1), training(2), *waiting))
    assert [order.index(1), order.index(2)] == [calls, 2 * calls + 1]


def test_calls_that_passed_while_nothing_trained_do_not_count() -> None:
    inbox, clock = filled(0.25, *(call(n) for n in range(1, 6)))
    for number in range(1, 6):
        assert inbox.next() == call(number)
        clock.now += CALL_S
    for envelope in (training(6), *(call(n) for n in range(7, 11))):
        inbox.put(envelope)
    assert drained(inbox, clock) == [7, 8, 9, 6, 10]


@pytest.mark.survival("F6")
def test_a_paused_step_lets_the_calls_that_wait_pass() -> None:
    inbox, clock = filled(0.1, training(1))
    assert inbox.next() == training(1)
    clock.now += PIECE_S
    inbox.put(call(2))
    inbox.put(call(3))
    assert [inbox.next_call(), inbox.next_call(), inbox.next_call()] == [call(2), call(3), None]


def test_a_paused_step_goes_on_once_calls_had_their_share() -> None:
    inbox, clock = filled(0.25, training(1), *(call(number) for number in range(2, 12)))
    for number in (2, 3, 4):
        assert inbox.next() == call(number)
        clock.now += CALL_S
    assert inbox.next() == training(1)
    clock.now += PIECE_S
    assert passing(inbox, clock) == [5, 6, 7]


@pytest.mark.survival("F6")
def test_what_trained_while_no_call_waited_counts_as_its_share() -> None:
    inbox, clock = filled(0.25, training(1))
    assert inbox.next() == training(1)
    clock.now += 2 * PIECE_S
    for number in range(2, 20):
        inbox.put(call(number))
    # six for the time that has passed, and as many before the next piece
    assert len(passing(inbox, clock)) == 12


def test_training_in_advance_counts_up_to_a_bound() -> None:
    inbox, clock = filled(0.5, training(1))
    assert inbox.next() == training(1)
    for _ in range(1000):
        clock.now += 1.0
        assert inbox.next_call() is None
    clock.now += 1.0
    for number in range(2, 1000):
        inbox.put(call(number))
    assert len(passing(inbox, clock)) * CALL_S == pytest.approx(6.0, abs=2 * CALL_S)


@given(
    share=st.floats(0.05, 0.9),
    bursts=st.lists(st.tuples(st.integers(0, 40), st.floats(0.001, 0.3)), max_size=30),
)
def test_training_is_never_further_behind_its_share_than_by_a_piece_and_a_call(
    share: float, bursts: list[tuple[int, float]]
) -> None:
    inbox, clock = filled(share, training(1))
    assert inbox.next() == training(1)
    trained_s, called_s, number = 0.0, 0.0, 2
    for num_calls, call_s in bursts:
        for number in range(number, number + num_calls):  # noqa: B020 goes on from burst to burst
            inbox.put(call(number))
        clock.now += PIECE_S  # the piece that they meet
        trained_s += PIECE_S
        while inbox.next_call() is not None:
            clock.now += call_s
            called_s += call_s
            owed_s = called_s - trained_s * (1 - share) / share
            assert owed_s <= PIECE_S * (1 - share) / share + call_s + 1e-6


@pytest.mark.survival("F6")
@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("call_s", [0.001, 0.02, 0.5])
def test_training_gets_its_share_whatever_a_call_takes(share: float, call_s: float) -> None:
    inbox, clock = filled(share, training(1))
    assert inbox.next() == training(1)
    begun, trained_s, number = clock.now, 0.0, 2
    inbox.put(call(number))
    while clock.now < begun + 20:
        if inbox.next_call() is None:
            clock.now += 0.003
            trained_s += 0.003
        else:
            clock.now += call_s
            number += 1
            inbox.put(call(number))
    assert trained_s / (clock.now - begun) == pytest.approx(share, rel=0.1)


def test_another_training_step_is_no_call() -> None:
    inbox, _ = filled(0.1, training(1), training(2))
    assert inbox.next() == training(1)
    assert inbox.next_call() is None


@pytest.mark.parametrize(
    ("step", "background"),
    [
        (Predict(rows=[]), False),
        (Predict(rows=[], background=True), True),
        (Generate(), False),
        (Generate(background=True), True),
        (Fill(slot=9, rows=[], keys=[]), True),
        (training(1).body, True),
        (OpenTraining(kind="lora", kind_config={}, head={}, seed=1), True),
        (Checkpoint(slot=9, directory="x"), True),
        (Save(slot=9, directory="x"), True),
        (Snapshot(slot=9), True),
        (CloseTraining(slot=9), True),
        (Stats(), False),
    ],
)
def test_what_a_training_waits_for_is_background(step: Step, background: bool) -> None:
    assert is_background(step) is background


def test_a_closed_inbox_hands_out_what_it_holds_and_then_says_it_is_over() -> None:
    inbox, clock = filled(0.1, training(1), call(2))
    assert drained(inbox, clock) == [2, 1]
    assert inbox.next() is None


def test_a_closed_inbox_is_not_over_while_a_step_is_to_come_back() -> None:
    inbox, seen = StepQueue(0.1), []
    inbox.expect()
    inbox.close()
    reader = threading.Thread(target=lambda: seen.extend((inbox.next(), inbox.next())))
    reader.start()
    inbox.put_back(call(1))
    reader.join(timeout=5)
    assert seen == [call(1), None]


def test_a_waiting_reader_wakes_for_a_step_and_for_the_end() -> None:
    inbox, seen = StepQueue(0.1), []
    reader = threading.Thread(target=lambda: seen.extend((inbox.next(), inbox.next())))
    reader.start()
    inbox.put(call(1))
    inbox.close()
    reader.join(timeout=5)
    assert seen == [call(1), None]


@pytest.mark.survival("F6")
def test_at_half_load_training_delays_calls_by_little_and_gets_the_other_half() -> None:
    draw, due, free, alone = random.Random(1), [100.0], 0.0, []
    for _ in range(2000):  # calls of 10 ms, at random times
        due.append(due[-1] + draw.expovariate(1 / 0.02))
        free = max(free, due[-1]) + 0.01
        alone.append(free - due[-1])
    beside, trained_s = simulate_training_beside(due[1:])
    assert sorted(beside)[1980] <= 1.5 * sorted(alone)[1980]
    assert trained_s / (due[-1] - due[0]) == pytest.approx(0.5, abs=0.05)


def simulate_training_beside(due: list[float]) -> tuple[list[float], float]:
    """The latencies of calls of 10 ms, and how long pieces of 3 ms ran."""
    inbox, clock = filled(0.3, training(0))
    assert inbox.next() == training(0)
    latencies, trained_s, num_put = [], 0.0, 0
    while len(latencies) < len(due):
        while num_put < len(due) and due[num_put] <= clock.now:
            inbox.put(call(num_put))
            num_put += 1
        if (envelope := inbox.next_call()) is None:
            clock.now += 0.003
            trained_s += 0.003
        else:
            clock.now += 0.01
            latencies.append(clock.now - due[envelope.number])
    return latencies, trained_s
