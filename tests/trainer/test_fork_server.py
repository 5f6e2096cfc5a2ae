"""Children with limits: what they answer, what ends them, and what stays of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from trainer.errors import BadSetting
from trainer.sandbox.fork_server import ChildEnded, End, ForkServer
from trainer.sandbox.limits import MIB, ChildLimits

LIMITS = ChildLimits(memory_bytes=128 * MIB, cpu_s=1, wall_s=30.0)


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    made = ForkServer(["tests.trainer.childwork"])
    yield made
    made.close()


def asked(forks: ForkServer, name: str, limits: ChildLimits = LIMITS) -> bytes:
    return forks.run(f"tests.trainer.childwork:{name}", b"ab", limits)


def test_a_function_is_answered_and_its_refusal_is_the_same_error_here(forks: ForkServer) -> None:
    assert asked(forks, "double") == b"abab"
    with pytest.raises(BadSetting, match="epochs is 0") as caught:
        asked(forks, "refuse")
    assert caught.value.param == "epochs"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("memory", End.MEMORY),
        ("numpy_memory", End.MEMORY),
        ("abort", End.MEMORY),
        ("spin", End.TIME),
        ("segv", End.CRASHED),
        ("bug", End.FAILED),
    ],
)
def test_what_a_child_does_wrong_ends_that_child_alone(
    forks: ForkServer, name: str, end: End
) -> None:
    with pytest.raises(ChildEnded) as caught:
        asked(forks, name)
    assert caught.value.end is end
    assert asked(forks, "double") == b"abab"


def test_time_on_the_clock_is_limited_too(forks: ForkServer) -> None:
    with pytest.raises(ChildEnded) as caught:
        asked(forks, "sleep", ChildLimits(memory_bytes=128 * MIB, cpu_s=9, wall_s=0.3))
    assert caught.value.end is End.TIME


@pytest.mark.survival("C10")
def test_a_caller_who_is_gone_takes_the_child_and_what_it_started_along(forks: ForkServer) -> None:
    asked(forks, "double")
    root, gone = psutil.Process(forks.pid), threading.Event()
    asking = threading.Thread(target=_ignored, args=(forks, "start_another", gone))
    asking.start()
    while not any("sleep 600" in _command(process) for process in _below(root)):
        time.sleep(0.01)
    gone.set()
    asking.join(10)
    while _below(root):
        time.sleep(0.01)


def test_a_fork_server_that_was_killed_is_started_again(forks: ForkServer) -> None:
    asked(forks, "double")
    assert forks.pid is not None
    os.kill(forks.pid, signal.SIGKILL)
    while psutil.Process(forks.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert asked(forks, "double") == b"abab"


def test_closing_ends_the_children() -> None:
    forks = ForkServer(["tests.trainer.childwork"])
    asked(forks, "double")
    asking = threading.Thread(target=_ignored, args=(forks, "sleep", threading.Event()))
    asking.start()
    forks.close()
    asking.join(10)
    assert not asking.is_alive()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):  # the child of the question before
        return ""


def _ignored(forks: ForkServer, name: str, gone: threading.Event) -> None:
    with pytest.raises((ChildEnded, OSError)):
        forks.run(f"tests.trainer.childwork:{name}", b"", LIMITS, gone)


def _below(root: psutil.Process) -> list[psutil.Process]:
    """Those whose parent ended are nobody's, but were in a child's group."""
    found = []
    for each in psutil.process_iter():
        try:
            if "sleep 600" in " ".join(each.cmdline()):
                found.append(each)
        except psutil.Error:
            continue
    return [*root.children(recursive=True), *found]
