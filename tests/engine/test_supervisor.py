"""The engine in a process of its own: supervised, killed, replaced, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine import port
from engine.config import EngineConfig
from engine.errors import BadBase, EngineGone, NotLoaded
from engine.runtime.supervisor import SupervisedEngine
from tests.engine.rows import TIMEOUT_S, ask, load, open_training, save

#: a step long enough to be killed in the middle of
LONG = port.Predict(rows=[port.Row.of(ids=[5] * 64)] * 2000)


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def answers_again(engine: SupervisedEngine) -> bool:
    try:
        return isinstance(ask(engine, port.Stats()), port.EngineStats)
    except EngineGone:
        return False


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.survival("H5")
def test_a_killed_engine_fails_what_is_in_flight_and_comes_back_with_nothing_loaded(
    process_engine: SupervisedEngine, tmp_path: Path
) -> None:
    engine, before, pid = process_engine, process_engine.generation, process_engine.pid
    save(engine, open_training(engine), tmp_path)
    load(engine, tmp_path, "d1")
    in_flight = engine.submit(LONG)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineGone):
        in_flight.result(TIMEOUT_S)
    with pytest.raises(EngineGone):  # nothing starts within a millisecond
        engine.submit(port.Stats()).result(TIMEOUT_S)
    assert engine.generation > before
    wait_for(lambda: engine.is_alive)
    assert answers_again(engine)
    held = ask(engine, port.Stats())
    assert (held.loaded, held.placed, held.training) == ({}, {}, [])
    with pytest.raises(NotLoaded):
        ask(engine, port.Predict(rows=[], place={1: "d1"}))


def test_a_bad_base_raises_from_the_constructor_with_the_engine_s_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadBase, match=f"{tmp_path} holds no base that transformers knows"):
        SupervisedEngine(EngineConfig(base=str(tmp_path), dtype="float32"))


def test_threads_reach_the_child_before_torch_loads(
    config: EngineConfig, process_engine: SupervisedEngine
) -> None:
    environment = psutil.Process(process_engine.pid).environ()
    assert environment["OMP_NUM_THREADS"] == str(config.threads)
    assert process_engine.info.num_threads == config.threads


HOLDER = """
import sys
from engine import port
from engine.config import EngineConfig
from engine.runtime.supervisor import SupervisedEngine

engine = SupervisedEngine(EngineConfig(base=sys.argv[1], dtype="float32", threads=1))
engine.submit(port.Stats()).result()
print(engine.pid, "torch" in sys.modules, "transformers" in sys.modules, flush=True)
sys.stdin.read()
"""


def test_the_parent_never_imports_torch_and_its_death_ends_the_child(base: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with parent:
        assert parent.stdout is not None
        pid, torch, transformers = parent.stdout.readline().split()
        parent.kill()
    assert (torch, transformers) == ("False", "False")
    wait_for(lambda: gone(int(pid)))
