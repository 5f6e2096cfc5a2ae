from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters_registry.errors import AliasMoved, RegistryError
from adapters_registry.port import Blob
from adapters_registry.registry import Registry
from adapters_registry.testing import MemoryBlobs, MemoryIndex
from tests.registry.build import publish


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Run all at once; each one's result, or the error it raised."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return act()
        except RegistryError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_of_many_promotions_expecting_the_same_version_one_wins(registry: Registry) -> None:
    for value in range(1, 6):
        publish(registry, value=value)
    results = together(
        *(lambda n=n: registry.promote("acme", "mail", n, expected=1) for n in (2, 3, 4, 5))
    )
    winners = [result for result in results if not isinstance(result, AliasMoved)]
    assert len(winners) == 1
    assert registry.resolve("acme", "mail").number == winners[0].version
    assert len(registry.history("acme", "mail")) == 2


def test_many_publications_at_once_get_numbers_of_their_own(registry: Registry) -> None:
    results = together(*(lambda v=v: publish(registry, value=v).number for v in range(6)))
    assert sorted(results) == [1, 2, 3, 4, 5, 6]


def test_one_fence_used_at_once_publishes_once(registry: Registry) -> None:
    results = together(
        *(lambda v=v: publish(registry, value=v, fence="job-1").digest for v in range(4))
    )
    assert len(set(results)) == 1


def test_publishing_and_deleting_the_same_content_at_once_never_loses_a_file(
    registry: Registry,
) -> None:
    publish(registry, value=0)
    for _ in range(8):
        number = publish(registry, value=1).number
        together(
            lambda: publish(registry, task="other", value=1),
            lambda n=number: registry.delete_version("acme", "mail", n),  # type: ignore[misc]
        )
        assert registry.files(registry.resolve("acme", "other"))
        registry.delete_task("acme", "other")


def test_a_file_deleted_while_it_is_published_is_stored_again(tmp_path: Path) -> None:
    class Deleting(MemoryBlobs):
        """Loses what it stored, as if another process deleted it, the first few times."""

        num_losses = 3

        def put(self, source: Path) -> Blob:
            blob = super().put(source)
            if self.num_losses:
                self.num_losses -= 1
                self.delete(blob.sha256)
            return blob

    registry = Registry(MemoryIndex(), Deleting(tmp_path / "blobs"), tmp_path / "staging")
    assert registry.files(publish(registry))


def test_two_openings_of_one_directory_see_each_other_at_once(tmp_path: Path) -> None:
    one, two = Registry.open(tmp_path), Registry.open(tmp_path)
    publish(one, value=1)
    publish(two, value=2)
    for number, (writer, reader) in {2: (one, two), 1: (two, one)}.items():
        assert reader.resolve("acme", "mail").number == 3 - number
        writer.promote("acme", "mail", number)
        assert reader.resolve("acme", "mail").number == number
    one.close()
    two.close()


def test_an_alias_that_moves_all_the_time_always_resolves(embedded: Registry) -> None:
    publish(embedded, value=1)
    publish(embedded, value=2)
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            for number in (2, 1):
                embedded.promote("acme", "mail", number)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        numbers = {embedded.resolve("acme", "mail").number for _ in range(500)}
    finally:
        stop.set()
        mover.join()
    assert numbers <= {1, 2}


def test_a_repeated_resolve_asks_the_database_nothing(embedded: Registry) -> None:
    publish(embedded)
    first = embedded.resolve("acme", "mail")
    assert embedded.resolve("acme", "mail") is first


def test_the_cache_is_bounded(embedded: Registry) -> None:
    publish(embedded)
    cache = embedded._cache
    for number in range(5000):
        cache.put(("acme", f"t{number}"), cache._generation, embedded.resolve("acme", "mail"))
    assert len(cache._versions) <= 4096
