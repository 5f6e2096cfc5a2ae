"""Copies of blobs on one machine: verified, within a budget, and nothing that could be lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters_registry.errors import BlobCorrupt, StorageUnavailable
from adapters_registry.storage.host_cache import HostCache

CONTENT = b"content"
BUDGET = 100


class Source:
    """Where copies come from; counts how often it was asked."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.sent = content
        self.num_fetches = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def __call__(self, target: Path) -> None:
        self.num_fetches += 1
        target.write_bytes(self.sent)

    def path(self, cache: HostCache) -> Path:
        return cache.path(self.sha256, len(self.content), self)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> HostCache:
    return HostCache(tmp_path / "cache", tmp_path / "incoming", BUDGET, clock)


def list_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_blob_is_fetched_once_and_handed_out_again(cache: HostCache) -> None:
    source = Source()
    assert source.path(cache) == source.path(cache)
    assert source.path(cache).read_bytes() == CONTENT
    assert source.num_fetches == 1


def test_a_copy_outlives_the_process(cache: HostCache, tmp_path: Path) -> None:
    source = Source()
    source.path(cache)
    assert (
        source.path(HostCache(tmp_path / "cache", tmp_path / "incoming", BUDGET)).read_bytes()
        == CONTENT
    )
    assert source.num_fetches == 1


@pytest.mark.survival("G4")
def test_wrong_bytes_are_refused_and_not_kept(cache: HostCache, tmp_path: Path) -> None:
    source = Source()
    source.sent = b"another"
    with pytest.raises(BlobCorrupt, match=f"{source.sha256} is corrupt"):
        source.path(cache)
    assert list_files(tmp_path) == []
    source.sent = CONTENT
    assert source.path(cache).read_bytes() == CONTENT


def test_a_copy_that_was_cut_is_fetched_again(cache: HostCache) -> None:
    source = Source()
    source.path(cache).write_bytes(CONTENT[:-1])
    assert source.path(cache).read_bytes() == CONTENT
    assert source.num_fetches == 2


def test_a_copy_that_is_found_has_the_right_content(cache: HostCache) -> None:
    source = Source()
    assert cache.find(source.sha256) is None
    path = source.path(cache)
    assert cache.find(source.sha256) == path
    path.write_bytes(b"another")
    assert cache.find(source.sha256) is None
    assert not path.exists()


def test_a_dropped_copy_is_fetched_again(cache: HostCache) -> None:
    source = Source()
    source.path(cache)
    cache.drop(source.sha256)
    cache.drop(source.sha256)
    source.path(cache)
    assert source.num_fetches == 2


def test_the_cache_is_rebuilt_from_nothing(cache: HostCache, tmp_path: Path) -> None:
    source = Source()
    source.path(cache)
    shutil.rmtree(tmp_path / "cache")
    assert source.path(cache).read_bytes() == CONTENT


def test_above_the_budget_the_least_recently_used_go(cache: HostCache, clock: Clock) -> None:
    old, used, new = (Source(bytes([value]) * 40) for value in range(3))
    paths = []
    for source in (old, used, old, used, new):
        clock.now += 61
        paths.append(source.path(cache))
    assert [path.exists() for path in paths] == [False, True, False, True, True]


def test_what_was_handed_out_lately_stays_above_the_budget(cache: HostCache, clock: Clock) -> None:
    """Its reader may not have opened it yet."""
    sources = [Source(bytes([value]) * 60) for value in range(3)]
    paths = [source.path(cache) for source in sources]
    assert all(path.exists() for path in paths)
    clock.now += 61
    newest = Source(b"x" * 60).path(cache)
    assert [path.exists() for path in (*paths, newest)] == [False, False, False, True]


def test_one_blob_above_the_whole_budget_is_handed_out(cache: HostCache) -> None:
    assert Source(b"x" * 2 * BUDGET).path(cache).exists()


def test_what_an_earlier_release_left_unfinished_counts_and_goes_first(
    cache: HostCache, tmp_path: Path, clock: Clock
) -> None:
    source = Source(b"x" * 60)
    left = source.path(cache).with_name(f".{source.sha256}.dead")
    left.write_bytes(b"half" * 10)
    os.utime(left, (0, 0))
    clock.now += 61
    Source(b"y" * 40).path(cache)
    assert not left.exists()
    assert len(list_files(tmp_path)) == 2


def test_callers_who_want_the_same_blob_fetch_it_once(cache: HostCache) -> None:
    source, barrier = Source(), threading.Barrier(8)

    def path() -> Path:
        barrier.wait()
        return source.path(cache)

    with ThreadPoolExecutor(8) as pool:
        paths = [future.result() for future in [pool.submit(path) for _ in range(8)]]
    assert len(set(paths)) == 1
    assert source.num_fetches == 1


def test_a_slow_fetch_keeps_nobody_waiting_who_wants_another_blob(cache: HostCache) -> None:
    slow, quick, done = Source(), Source(b"other"), threading.Event()

    def wait_for_the_other(target: Path) -> None:
        assert done.wait(10)
        slow(target)

    with ThreadPoolExecutor(1) as pool:
        path = pool.submit(cache.path, slow.sha256, len(CONTENT), wait_for_the_other)
        quick.path(cache)
        done.set()
        assert path.result().read_bytes() == CONTENT


def test_a_failed_fetch_leaves_nothing_and_the_next_one_succeeds(
    cache: HostCache, tmp_path: Path
) -> None:
    source = Source()

    def fail(target: Path) -> None:
        target.write_bytes(CONTENT[:3])
        raise StorageUnavailable

    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            cache.path(source.sha256, len(CONTENT), fail)
    assert list_files(tmp_path) == []
    # nothing is remembered of it either, as anybody can ask for what is not there
    assert cache._fetching == {}
    assert source.path(cache).read_bytes() == CONTENT


def test_two_processes_share_one_directory(tmp_path: Path) -> None:
    one, two = (HostCache(tmp_path / "cache", tmp_path / "incoming", BUDGET) for _ in range(2))
    source = Source()

    def fetch_meanwhile(fetch: Callable[[Path], None]) -> Callable[[Path], None]:
        def run(target: Path) -> None:
            source.path(two)
            fetch(target)

        return run

    path = one.path(source.sha256, len(CONTENT), fetch_meanwhile(source))
    assert path.read_bytes() == CONTENT
    assert list_files(tmp_path) == [path]
