"""How a child is watched over, with a child that starts fast and misbehaves on demand."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine import port
from engine.__main__ import _receive, _send
from engine.config import EngineConfig
from engine.errors import BadBase, EngineGone
from engine.runtime.framing import receive_frame
from engine.runtime.step_queue import StepQueue
from engine.runtime.supervisor import SupervisedEngine
from tests.engine.fake_engine_process import write_launcher
from tests.engine.rows import ask
from tests.engine.test_supervisor import gone, wait_for

CONFIG = EngineConfig(base="stand-in")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SupervisedEngine]:
    launcher = write_launcher(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(launcher))
        engine = SupervisedEngine(CONFIG)
        yield engine
        engine.close()


def test_closing_fails_what_is_in_flight_and_ends_the_child(engine: SupervisedEngine) -> None:
    in_flight = engine.submit(port.Snapshot(slot=1))
    engine.close()
    with pytest.raises(EngineGone):
        in_flight.result(0)
    assert gone(engine.pid)


def test_a_closed_engine_is_gone_and_closing_again_is_no_error(engine: SupervisedEngine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineGone):
        engine.submit(port.Stats()).result(0)


def test_closing_while_a_new_engine_starts_ends_it_too(engine: SupervisedEngine) -> None:
    first = engine.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: engine.pid != first)
    engine.close()
    assert gone(engine.pid)


def test_steps_while_a_new_engine_starts_fail_at_once(engine: SupervisedEngine) -> None:
    first = engine.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: engine.pid != first)
    with pytest.raises(EngineGone):
        engine.submit(port.Stats()).result(0)


def test_an_engine_is_alive_until_it_dies_or_is_closed(engine: SupervisedEngine) -> None:
    assert engine.is_alive
    os.kill(engine.pid, signal.SIGKILL)
    wait_for(lambda: not engine.is_alive)
    engine.close()
    assert not engine.is_alive


def test_an_engine_that_answers_rubbish_is_replaced(engine: SupervisedEngine) -> None:
    first, in_flight = engine.pid, engine.submit(port.Restore(slot=1))
    with pytest.raises(EngineGone):
        in_flight.result(10)
    wait_for(lambda: engine.pid != first)


def test_a_step_that_cannot_be_encoded_fails_alone(engine: SupervisedEngine) -> None:
    with pytest.raises(TypeError):
        engine.submit(port.Load(digest="d", semantics={"head": object()}, files=[]))
    assert isinstance(ask(engine, port.Stats()), port.EngineStats)


def test_a_cancelled_step_disturbs_nobody(engine: SupervisedEngine) -> None:
    unanswered = engine.submit(port.Snapshot(slot=1))
    assert unanswered.cancel()
    assert isinstance(ask(engine, port.Stats()), port.EngineStats)
    engine.close()
    assert unanswered.cancelled()


def test_a_child_that_ends_while_loading_is_named_with_its_status_and_base(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BadBase, match="ended with status 1 while it loaded stand-in"):
        SupervisedEngine(CONFIG)


def test_a_frame_the_child_cannot_read_ends_it_rather_than_leaving_it_deaf() -> None:
    ours, theirs = socket.socketpair()
    inbox = StepQueue(0.1)
    with ours, theirs:
        ours.sendall(b"\x01\x00\x00\x00\xc1")
        with pytest.raises(msgspec.DecodeError):
            _receive(theirs, inbox.put, inbox)
    assert inbox.next() is None


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (port.Failure(code="bad_adapter", message="no \ud800"), ("bad_adapter", r"no \ud800")),
        (
            port.Inspected(semantics={"r": 2**70}, files={}, num_parameters=1),
            ("engine_error", "the result cannot be sent"),
        ),
    ],
    ids=["surrogate", "long number"],
)
def test_a_result_that_cannot_be_encoded_is_a_failure_of_its_step_alone(
    result: port.Result, told: tuple[str, str]
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert _send(theirs, 7, result)
        frame = receive_frame(ours)
    assert frame is not None
    envelope, (code, words) = port.decode(frame), told
    assert isinstance(envelope.body, port.Failure)
    assert (envelope.number, envelope.body.code) == (7, code)
    assert words in envelope.body.message
