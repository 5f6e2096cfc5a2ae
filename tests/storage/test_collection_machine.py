"""Random operations and crashes never lose what a version names, and leave nothing behind."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adapters_registry.registry import Registry
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.shared_state import SharedState
from server.upkeep.storage import REFERENCES
from tests.registry.build import publish
from tests.storage.conftest import Clock

CONTENTS = st.integers(1, 4)
GRACES = st.sampled_from([0.0, 10.0])


class Killed(BaseException):
    """Stands for the end of the process: no clean-up of ours catches it."""


class DeadlyDisk(Disk):
    """Ends the process at one of the calls that change something."""

    calls_left: int | None = None

    def _count(self) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Killed

    def link(self, source: Path, target: Path) -> None:
        self._count()
        super().link(source, target)
        self._count()

    def remove(self, path: Path) -> None:
        self._count()
        super().remove(path)
        self._count()

    def sync_directory(self, path: Path) -> None:
        self._count()
        super().sync_directory(path)


class Model(RuleBasedStateMachine):
    """`versions`: the contents of the versions that there are, by number."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.disk = DeadlyDisk()
        self.versions: dict[int, int] = {}
        self.open()

    def open(self) -> None:
        self.state = SharedState.open(self.directory, clock=self.clock, disk=self.disk)
        self.registry = Registry(self.state, disk=self.disk)
        self.collector = Collector(
            self.state.database, self.state.blobs, REFERENCES, orphan_age_s=0
        )

    @contextmanager
    def dying(self, calls_left: int | None) -> Iterator[None]:
        self.disk.calls_left = calls_left
        try:
            yield
        except Killed:
            self.disk.calls_left = None
            self.state.close()
            self.open()
        finally:
            self.disk.calls_left = None

    @rule(content=CONTENTS, calls_left=st.none() | st.integers(0, 12))
    def publish(self, content: int, calls_left: int | None) -> None:
        with self.dying(calls_left):
            publish(self.registry, value=content, promote=True)
        made = self.registry.versions("acme", "mail") if self.has_task() else []
        self.versions = self.versions | {made[-1].number: content} if made else self.versions
        assert set(self.versions) == {version.number for version in made}

    @rule(number=st.integers(1, 6))
    def delete(self, number: int) -> None:
        if number in self.versions and self.production() != number:
            self.registry.delete_version("acme", "mail", number)
            del self.versions[number]

    @rule()
    def delete_task(self) -> None:
        if self.has_task():
            self.registry.delete_task("acme", "mail")
            self.versions = {}

    @rule(content=CONTENTS)
    def put(self, content: int) -> None:
        source = self.directory / "source"
        source.write_bytes(b"%d" % content)
        self.state.blobs.put(source)

    @rule(grace_s=GRACES, calls_left=st.none() | st.integers(0, 6), wait_s=GRACES)
    def collect(self, grace_s: float, calls_left: int | None, wait_s: float) -> None:
        self.clock.now += wait_s
        with self.dying(calls_left):
            self.collector.run(grace_s)

    @rule()
    def rest(self) -> None:
        """Two runs without a grace leave what versions name, and nothing else."""
        for _ in range(2):
            self.collector.run(0)
        with self.state.database.read() as db:
            needed = REFERENCES.list_from(db, "", 1000)
        kept = [name.name.split("/")[-1].split(".")[0] for name in self.state.blobs.store.list()]
        assert sorted(kept) == needed

    @invariant()
    def every_version_is_whole(self) -> None:
        for number in self.versions:
            version = self.registry.resolve("acme", f"mail@{number}")
            for _, path, sha256 in self.registry.files(version):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256

    def has_task(self) -> bool:
        return bool(self.registry.tasks("acme"))

    def production(self) -> int | None:
        return self.registry.resolve("acme", "mail").number if self.has_task() else None

    def teardown(self) -> None:
        self.state.close()
        with suppress(FileNotFoundError):
            shutil.rmtree(self.directory)


BOUNDS: dict[str, Any] = {
    "stateful_step_count": 20,
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
TestModel = pytest.mark.survival("G8", "G1")(Model.TestCase)
TestModel.settings = settings(max_examples=15, **BOUNDS)
