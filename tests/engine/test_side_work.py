"""What is read before a step's turn and written after it keeps the order that matters, and leaves
nobody waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from engine.port import Done, Envelope, Inspect, Load, Loaded, Stats, Step, Unload
from engine.runtime.side_work import SideWork
from engine.runtime.step_queue import StepQueue

TIMEOUT_S = 10


@dataclass(slots=True)
class Disk:
    """What readers read from: each read waits until the digest was let go."""

    begun: list[str] = field(default_factory=list)
    _gates: dict[str, threading.Event] = field(default_factory=dict)

    def read(self, step: Load | Inspect) -> Done | Loaded:
        name = step.digest if isinstance(step, Load) else step.directory
        self.begun.append(name)
        assert self._gate(name).wait(TIMEOUT_S)
        if name == "broken":
            raise RuntimeError("the disk is broken")
        return Loaded(num_bytes=len(name))

    def let_go(self, *names: str) -> None:
        for name in names:
            self._gate(name).set()

    def _gate(self, name: str) -> threading.Event:
        return self._gates.setdefault(name, threading.Event())


@dataclass(slots=True)
class Threads:
    """Side work before a queue; the test is the loop."""

    inbox: StepQueue
    side: SideWork
    _number: int = 0

    def put(self, step: Step) -> int:
        self._number += 1
        self.side.put(Envelope(self._number, step))
        return self._number

    def next(self) -> int:
        envelope = self.inbox.next()
        assert envelope is not None
        return envelope.number

    def take(self) -> object:
        envelope = self.inbox.next()
        assert envelope is not None
        return self.side.take(envelope)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def threads(disk: Disk) -> Iterator[Threads]:
    inbox = StepQueue(0.1)
    side = SideWork(inbox, disk.read, lambda: None, num_readers=2)
    yield Threads(inbox, side)
    side.close()


def load(digest: str) -> Load:
    return Load(digest=digest, semantics={}, files=[])


def test_a_step_that_reads_nothing_does_not_wait_for_one_that_does(
    threads: Threads, disk: Disk
) -> None:
    read, other = threads.put(load("a")), threads.put(Stats())
    assert threads.next() == other
    disk.let_go("a")
    assert threads.next() == read


def test_a_slow_read_does_not_keep_a_fast_one(threads: Threads, disk: Disk) -> None:
    slow, fast = threads.put(load("slow")), threads.put(Inspect(directory="fast"))
    disk.let_go("fast")
    assert threads.next() == fast
    disk.let_go("slow")
    assert threads.next() == slow


def test_what_was_read_is_taken_once(threads: Threads, disk: Disk) -> None:
    threads.put(load("abc"))
    disk.let_go("abc")
    envelope = threads.inbox.next()
    assert envelope is not None
    assert threads.side.take(envelope) == Loaded(num_bytes=3)
    assert threads.side.take(envelope) is None


@pytest.mark.survival("E8")
def test_a_digest_is_read_once_for_all_that_ask_while_it_is_read(
    threads: Threads, disk: Disk
) -> None:
    for _ in range(3):
        threads.put(load("a"))
    disk.let_go("a")
    assert [threads.take() for _ in range(3)] == [Loaded(num_bytes=1)] * 3
    assert disk.begun == ["a"]


def test_a_digest_that_is_unloaded_while_it_is_read_is_unloaded_after_it_was_loaded(
    threads: Threads, disk: Disk
) -> None:
    first, gone, again = (
        threads.put(load("a")),
        threads.put(Unload(digest="a")),
        threads.put(load("a")),
    )
    other = threads.put(Unload(digest="b"))
    assert threads.next() == other
    disk.let_go("a")
    assert [threads.next() for _ in range(3)] == [first, gone, again]


def test_a_digest_is_read_again_once_it_was_taken(threads: Threads, disk: Disk) -> None:
    disk.let_go("a")
    for _ in range(2):
        threads.put(load("a"))
        assert threads.take() == Loaded(num_bytes=1)
    assert disk.begun == ["a", "a"]


def test_a_bug_in_a_reader_is_raised_where_its_step_is_taken(threads: Threads, disk: Disk) -> None:
    threads.put(load("broken"))
    disk.let_go("broken")
    with pytest.raises(RuntimeError, match="the disk is broken"):
        threads.take()


def test_readers_do_not_read_far_ahead_of_the_loop(threads: Threads, disk: Disk) -> None:
    names = [f"adapter {number}" for number in range(30)]
    disk.let_go(*names)
    for name in names:
        threads.put(load(name))
    assert len([threads.next() for _ in range(8)]) == 8
    assert len(disk.begun) <= 10
    threads.side.close()


def test_a_step_that_writes_has_its_turn_again_once_it_was_written(threads: Threads) -> None:
    number = threads.put(Stats())
    envelope = threads.inbox.next()
    assert envelope is not None
    threads.side.write(envelope, Done)
    assert threads.next() == number
    assert threads.side.take(envelope) == Done()


@pytest.mark.parametrize("begin", [lambda t: t.put(load("a")), lambda t: _write(t, "a")])
def test_a_closed_queue_ends_after_what_is_read_or_written(
    threads: Threads, disk: Disk, begin: Callable[[Threads], object]
) -> None:
    begin(threads)
    threads.inbox.close()
    disk.let_go("a")
    assert threads.inbox.next() is not None
    assert threads.inbox.next() is None


def _write(threads: Threads, name: str) -> None:
    threads.side.write(Envelope(7, Stats()), lambda: Loaded(num_bytes=len(name)))


def test_closing_drops_what_waits_and_waits_for_what_is_read(threads: Threads, disk: Disk) -> None:
    for name in "abcdef":
        threads.put(load(name))
    timer = threading.Timer(0.05, disk.let_go, "abcdef")
    timer.start()
    threads.side.close()
    timer.join()
    assert set(disk.begun) <= {"a", "b"}
    threads.put(load("late"))
    assert "late" not in disk.begun


def test_closing_frees_readers_that_wait_for_the_loop(threads: Threads, disk: Disk) -> None:
    names = [str(number) for number in range(20)]
    disk.let_go(*names)
    for name in names:
        threads.put(load(name))
    threads.side.close()
    assert len(disk.begun) < len(names)


def test_every_thread_has_entered_before_any_step_is_read(disk: Disk) -> None:
    entered: list[str] = []
    side = SideWork(StepQueue(0.1), disk.read, lambda: entered.append("x"), num_readers=3)
    assert len(entered) == 4
    side.close()
