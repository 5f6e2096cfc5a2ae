"""Publishers and collectors at once, in threads and through two servers."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from adapters_registry.errors import StorageError
from adapters_registry.registry import Registry
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.values import Version
from server.upkeep.storage import REFERENCES
from tests.registry.build import publish
from tests.storage.conftest import Place

NUM_ROUNDS = 12
CONTENTS = (1, 2, 3)


def publish_in_the_end(registry: Registry, task: str, content: int) -> Version:
    """Without a grace, a collection may take the files before they are named, several times."""
    while True:
        with suppress(StorageError):
            return publish(registry, task, value=content, promote=True)


@pytest.mark.survival("G8")
def test_publishers_beside_two_collectors_without_a_grace_lose_nothing(place: Place) -> None:
    other = place.open_another()
    registries = (place.registry, Registry(other))
    done = threading.Event()

    def publish_and_delete(registry: Registry, task: str) -> None:
        for step in range(NUM_ROUNDS):
            content = CONTENTS[step % len(CONTENTS)]
            version = publish_in_the_end(registry, task, content)
            for _, path, sha256 in registry.files(version):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
            for old in registry.versions("acme", task):
                if old.number != version.number:
                    registry.delete_version("acme", task, old.number)

    def collect(state_index: int) -> None:
        state = (place.state, other)[state_index]
        collector = Collector(state.database, state.blobs, REFERENCES)
        while not done.wait(0.01):
            collector.run(0)

    with ThreadPoolExecutor(4) as threads:
        collectors = [threads.submit(collect, index) for index in range(2)]
        publishers = [
            threads.submit(publish_and_delete, registry, f"task-{index}")
            for index, registry in enumerate(registries)
        ]
        try:
            for each in publishers:
                each.result(120)
        finally:
            done.set()
        for each in collectors:
            each.result(60)
    place.collector().run(0)
    place.collector().run(0)
    with place.database.read() as db:
        needed = REFERENCES.list_from(db, "", 1000)
    names = [each.name.split("/")[-1].split(".")[0] for each in place.blobs.store.list()]
    assert sorted(names) == needed
