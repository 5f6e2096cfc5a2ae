"""Writers of one task at the same time, in threads, servers and processes: each is as if alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from pathlib import Path

import pytest

from adapters_registry.errors import AliasMoved
from adapters_registry.registry import Registry
from tests.registry.build import publish
from tests.services.place import Place

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from tests.registry.build import publish
from tests.services.place import Place

directory, database_url, blobs_url, machine = sys.argv[1:]
place = Place(
    directory=Path(directory), database_url=database_url or None, blobs_url=blobs_url or None
)
registry = place.open_registry(machine)
print("ready", flush=True)
sys.stdin.readline()
for value in range(10):
    print(publish(registry, value=100 * int(machine) + value).number, flush=True)
registry.close()
"""


def test_publications_in_threads_of_two_servers_get_numbers_of_their_own(
    registry: Registry, elsewhere: Registry
) -> None:
    def publish_some(worker: int) -> list[int]:
        server = (registry, elsewhere)[worker % 2]
        return [publish(server, value=10 * worker + each).number for each in range(3)]

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for some in pool.map(publish_some, range(8)) for number in some]
    assert sorted(numbers) == list(range(1, 25))
    assert [version.number for version in registry.versions("acme", "mail")] == sorted(numbers)


def test_publications_of_two_processes_get_numbers_of_their_own(place: Place) -> None:
    place.open().close()
    processes = [start(place, machine) for machine in ("1", "2")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = [process.communicate("go\n", timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    numbers = [int(line) for output in outputs for line in output.split()]
    assert sorted(numbers) == list(range(1, 21))


def start(place: Place, machine: str) -> subprocess.Popen[str]:
    urls = [place.database_url or "", place.blobs_url or ""]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(place.directory), *urls, machine],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.survival("B12")
def test_of_promotions_on_two_servers_that_expect_the_same_version_one_wins_each_time(
    registry: Registry, elsewhere: Registry
) -> None:
    for value in range(1, 5):
        publish(registry, value=value)

    def promote(worker: int) -> list[int]:
        """The version that each of its promotions replaced."""
        server, replaced = (registry, elsewhere)[worker % 2], list[int]()
        for _ in range(10):
            current = server.resolve("acme", "mail").number
            try:
                server.promote("acme", "mail", current % 4 + 1, expected=current)
            except AliasMoved:
                continue
            replaced.append(current)
        return replaced

    with ThreadPoolExecutor(4) as pool:
        replaced = [number for some in pool.map(promote, range(4)) for number in some]
    history = registry.history("acme", "mail")
    # every winner is in the history, once, and each replaced what the one before had set
    assert sorted(replaced) == sorted(event.previous for event in history[1:] if event.previous)
    assert all(after.previous == before.version for before, after in pairwise(history))
    assert [event.sequence for event in history] == list(range(1, len(history) + 1))


def test_who_follows_the_changes_loses_none_while_many_write(
    registry: Registry, elsewhere: Registry
) -> None:
    """Changes are committed in the order of their numbers: none appears behind one that was
    seen.
    """
    tasks = [f"task{number}" for number in range(8)]
    for task in tasks:
        for value in (1, 2):
            publish(registry, task=task, value=value)
    follow_known(elsewhere, tasks)
    stop, followed = threading.Event(), list[int]()

    def follow() -> None:
        while not stop.is_set():
            follow_known(elsewhere, tasks)
            followed.append(elsewhere._cache.sequence or 0)

    def write(worker: int) -> None:
        for step in range(24):
            registry.promote("acme", tasks[(worker + step) % len(tasks)], 2 - (step // 8) % 2)

    run_beside(follow, stop, write, num_writers=4)
    assert followed == sorted(followed)
    # all writers are done: what is remembered after one more look is what is so
    elsewhere.refresh()
    remembered = {task: elsewhere.recall("acme", task) for task in tasks}
    for task, version in remembered.items():
        current = next(a for a in registry.aliases("acme", task) if a.name == "production")
        assert version is None or version.number == current.version


def follow_known(registry: Registry, tasks: list[str]) -> None:
    """Have all of them in memory, as of the newest change that is known."""
    registry.refresh()
    for task in tasks:
        if registry.recall("acme", task) is None:
            registry.resolve("acme", task)


def run_beside(
    act: Callable[[], None], stop: threading.Event, write: Callable[[int], None], num_writers: int
) -> None:
    beside = threading.Thread(target=act)
    beside.start()
    try:
        with ThreadPoolExecutor(num_writers) as pool:
            list(pool.map(write, range(num_writers)))
    finally:
        stop.set()
        beside.join()


def test_a_change_that_is_committed_late_is_not_hidden_by_one_that_began_later(
    registry: Registry, elsewhere: Registry
) -> None:
    for task in ("slow", "quick"):
        for value in (1, 2):
            publish(registry, task=task, value=value)
    follow_known(elsewhere, ["slow", "quick"])
    with ThreadPoolExecutor(1) as pool:
        with registry.state.database.write():
            registry.promote("acme", "slow", 2)
            quick = pool.submit(registry.promote, "acme", "quick", 2)
            # SQLite has one writer at a time: there, it ends after this one
            wait([quick], timeout=0.2)
            follow_known(elsewhere, ["slow", "quick"])
            is_seen_first = elsewhere.resolve("acme", "quick").number == 2
        quick.result()
    assert is_seen_first is not registry.state.database.is_sqlite
    follow_known(elsewhere, ["slow", "quick"])
    assert [elsewhere.resolve("acme", task).number for task in ("slow", "quick")] == [2, 2]
