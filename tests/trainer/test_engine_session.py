"""A session works with one generation of the engine, and its owner can interrupt it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from engine.errors import EngineGone
from engine.port import Array, Done, Load, Loaded, Predict, Predicted, Row, Stats, Unload
from engine.testing.fake_engine import FakeEngine
from trainer.engine_client import IN_FLIGHT, EngineSession


class Recording:
    """An engine that answers every step, and whose generation a test may move on."""

    def __init__(self) -> None:
        self.port = FakeEngine()
        self.info = self.port.info
        self.generation = 0
        self.steps: list[Any] = []

    def submit(self, step: Any) -> Any:
        self.steps.append(step)
        answer: Future[Any] = Future()
        answer.set_result(Loaded(num_bytes=0) if isinstance(step, Load) else Done())
        return answer


def fills(num: int) -> list[Any]:
    return [Unload(digest=str(number)) for number in range(num)]


def test_answers_of_a_stream_come_in_the_order_of_its_steps() -> None:
    port = FakeEngine()
    rows = [Row.of(ids=[number + 1], slot=0) for number in range(5)]
    answers = EngineSession(port).stream((Predict(rows=[row]) for row in rows), Predicted)
    alone = [port.submit(Predict(rows=[row])).result() for row in rows]
    assert [_values(answer) for answer in answers] == [_values(answer) for answer in alone]


def test_a_stream_has_one_step_waiting_behind_the_one_that_runs() -> None:
    port = Recording()
    stream = EngineSession(port).stream(fills(5), Done)  # type: ignore[arg-type]
    next(stream)
    assert len(port.steps) == IN_FLIGHT


def test_a_stream_checks_before_every_step_and_submits_none_after_an_interruption() -> None:
    port, left = Recording(), [None] * 3

    def check() -> None:
        if not left:
            raise InterruptedError
        left.pop()

    with pytest.raises(InterruptedError):
        list(EngineSession(port, check).stream(fills(5), Done))  # type: ignore[arg-type]
    assert len(port.steps) == 3


def test_no_step_of_an_interrupted_stream_is_still_on_its_way() -> None:
    port, left = Recording(), [None]
    futures: list[Future[Any]] = []

    def submit(step: Any) -> Any:
        futures.append(Future[Any]())
        threading.Timer(0.05, futures[-1].set_result, [Done()]).start()
        return futures[-1]

    def check() -> None:
        if not left:
            raise InterruptedError
        left.pop()

    port.submit = submit  # type: ignore[method-assign]
    with pytest.raises(InterruptedError):
        list(EngineSession(port, check).stream(fills(3), Done))  # type: ignore[arg-type]
    assert [future.done() for future in futures] == [True]


def test_a_session_ends_with_the_engine_it_began_with() -> None:
    port = Recording()
    session = EngineSession(port)  # type: ignore[arg-type]
    port.generation += 1
    for other in (session, session.with_check(lambda: None)):
        with pytest.raises(EngineGone):
            other.check()


def test_what_a_former_engine_held_is_not_released_from_the_next_one() -> None:
    port = Recording()
    session = EngineSession(port)  # type: ignore[arg-type]
    session.release(Unload(digest="a"))
    port.generation += 1
    session.release(Unload(digest="b"))
    assert port.steps == [Unload(digest="a")]


def test_an_adapter_is_unloaded_however_its_block_ends() -> None:
    port = Recording()
    session = EngineSession(port)  # type: ignore[arg-type]
    with pytest.raises(InterruptedError), session.load_adapter("a/proof", {}, []):
        raise InterruptedError
    assert port.steps == [Load(digest="a/proof", semantics={}, files=[]), Unload(digest="a/proof")]


def test_a_single_call_is_not_interrupted() -> None:
    def check() -> None:
        raise InterruptedError

    assert EngineSession(FakeEngine(), check).call(Stats(), object) is not None


def _values(answer: Any) -> list[Any]:
    return [row.numpy().tolist() for row in answer.rows if isinstance(row, Array)]
