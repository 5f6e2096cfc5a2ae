"""kill -9 between any two steps of a publication or deletion: it happened, or it did not."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from sqlalchemy import Engine, event

from adapters_registry.errors import UnknownTask
from adapters_registry.registry import Registry
from adapters_registry.storage.disk import Disk
from adapters_registry.values import Version
from tests.registry.build import publish

MAX_STEPS = 200


class DyingDisk(Disk):
    """Counts every call that changes something; kills its own process before the one it is told."""

    def __init__(self, die_at: int) -> None:
        self.left = die_at

    def step(self, *_: object) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def make_directory(self, path: Path) -> None:
        self.step()
        super().make_directory(path)

    def create(self, path: Path) -> BinaryIO:
        self.step()
        return super().create(path)

    def append(self, file: BinaryIO, chunk: bytes) -> None:
        self.step()
        file.write(chunk[: len(chunk) // 2])
        file.flush()
        self.step()  # half a chunk has reached the file
        file.write(chunk[len(chunk) // 2 :])

    def sync(self, file: BinaryIO) -> None:
        self.step()
        super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        self.step()
        super().rename(source, target)

    def sync_directory(self, path: Path) -> None:
        self.step()
        super().sync_directory(path)

    def remove(self, path: Path) -> None:
        self.step()
        super().remove(path)

    def remove_tree(self, path: Path) -> None:
        self.step()
        super().remove_tree(path)

    def unlock(self, descriptor: int) -> None:
        self.step()
        super().unlock(descriptor)


def run_and_die(directory: Path, die_at: int, act: Callable[[Registry], Any]) -> bool:
    """Run `act` in a child that dies at the given step; whether it died."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            disk = DyingDisk(-1)
            registry = Registry.open(directory, disk=disk)
            for name in ("before_cursor_execute", "commit"):
                event.listen(Engine, name, disk.step)
            disk.left = die_at
            act(registry)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def check_whole(registry: Registry, directory: Path) -> list[int]:
    """Every version is complete and verified, nothing is left over; the versions' numbers."""
    versions = _versions(registry)
    for number, version in enumerate(versions):
        registry.export(version, directory / f"export-{number}")
    data = directory / "data"
    assert list((data / "staging").glob("*")) == []
    assert list((data / "blobs/incoming").glob("*")) == []
    stored = {path.name for path in (data / "blobs/sha256").glob("*/*")}
    assert stored == {f.sha256 for version in versions for f in version.manifest.files}
    return [version.number for version in versions]


def _versions(registry: Registry) -> Sequence[Version]:
    try:
        return registry.versions("acme", "mail")
    except UnknownTask:
        return []


def production(registry: Registry) -> tuple[int, int]:
    """The version that the alias names, and how often it moved."""
    moves = registry.history("acme", "mail")
    number = registry.resolve("acme", "mail").number
    assert number == moves[-1].version
    return number, len(moves)


def sweep_steps(
    tmp_path: Path, act: Callable[[Registry], Any], *outcomes: list[int]
) -> list[list[int]]:
    before = tmp_path / "before"
    registry = Registry.open(before)
    publish(registry, value=1)
    publish(registry, value=2)
    registry.close()
    seen: list[list[int]] = []
    for die_at in range(MAX_STEPS):
        directory = tmp_path / str(die_at)
        shutil.copytree(before, directory / "data")
        died = run_and_die(directory / "data", die_at, act)
        registry = Registry.open(directory / "data")  # sweeps
        seen.append(check_whole(registry, directory))
        assert seen[-1] in outcomes
        act_again = publish(registry, value=9)
        assert registry.resolve("acme", f"mail@{act_again.number}") == act_again
        registry.close()
        if not died:
            return seen
    raise AssertionError("the child never came to its end")


@pytest.mark.survival("G1")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_kill_at_any_step_of_a_publication_leaves_it_absent_or_complete(tmp_path: Path) -> None:
    seen = sweep_steps(tmp_path, lambda registry: publish(registry, value=3), [1, 2], [1, 2, 3])
    assert len(seen) > 30
    assert seen == sorted(seen)  # first absent, from the commit on complete, never back
    assert (seen[0], seen[-1]) == ([1, 2], [1, 2, 3])


@pytest.mark.survival("G1")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_kill_at_any_step_of_a_deletion_leaves_it_done_or_undone(tmp_path: Path) -> None:
    seen = sweep_steps(
        tmp_path, lambda registry: registry.delete_version("acme", "mail", 2), [1, 2], [1]
    )
    assert (seen[0], seen[-1]) == ([1, 2], [1])


@pytest.mark.survival("G1")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_kill_at_any_step_of_a_task_s_deletion_leaves_it_done_or_undone(tmp_path: Path) -> None:
    seen = sweep_steps(tmp_path, lambda registry: registry.delete_task("acme", "mail"), [1, 2], [])
    assert (seen[0], seen[-1]) == ([1, 2], [])


@pytest.mark.survival("G1")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_kill_at_any_step_of_a_promotion_and_a_rollback_leaves_each_done_or_undone(
    tmp_path: Path,
) -> None:
    """An alias never names a version without the history saying so."""
    registry = Registry.open(tmp_path / "before")
    publish(registry, value=1)
    publish(registry, value=2)
    registry.close()

    def move(registry: Registry) -> None:
        registry.promote("acme", "mail", 2)
        registry.rollback("acme", "mail")

    seen = []
    for die_at in range(MAX_STEPS):
        data = tmp_path / str(die_at)
        shutil.copytree(tmp_path / "before", data)
        died = run_and_die(data, die_at, move)
        registry = Registry.open(data)
        seen.append(production(registry))
        registry.close()
        if not died:
            break
    assert seen == sorted(seen, key=lambda state: state[1])
    assert list(dict.fromkeys(seen)) == [(1, 1), (2, 2), (1, 3)]


@pytest.mark.survival("G1")
def test_opening_sweeps_what_a_dead_writer_left(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path / "data")
    publish(registry)
    registry.close()
    data = tmp_path / "data"
    for left in ("staging/dead", "blobs/incoming/dead", "blobs/sha256/ab"):
        (data / left).mkdir(parents=True)
    orphan = data / "blobs/sha256/ab" / ("ab" * 32)
    orphan.write_bytes(b"x")
    registry = Registry.open(data)
    check_whole(registry, tmp_path)
    registry.close()


def test_a_sweep_reports_what_it_removed(embedded: Registry, tmp_path: Path) -> None:
    orphan = tmp_path / "registry/blobs/sha256/ab" / ("ab" * 32)
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    (tmp_path / "registry/staging").mkdir(exist_ok=True)
    (tmp_path / "registry/staging/dead").mkdir()
    report = embedded.sweep()
    assert (report.scratch, report.blobs) == (("dead",), ("ab" * 32,))


@pytest.mark.survival("G8")
def test_a_sweep_leaves_a_living_writers_staging_alone(embedded: Registry, tmp_path: Path) -> None:
    with embedded.stage() as staging:
        staging.write("adapter_config.json", [b"{}"])
        other = Registry.open(tmp_path / "registry")
        other.close()
        assert (staging.path / "adapter_config.json").exists()
