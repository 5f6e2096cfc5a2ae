"""One tiny base for the folder, and the ports over it that are slow to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config import EngineConfig
from engine.runtime.in_thread import ThreadEngine
from engine.runtime.supervisor import SupervisedEngine
from tests.contracts.tiny import build_base


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base("bert", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def config(base: Path) -> EngineConfig:
    return EngineConfig(base=str(base), dtype="float32", threads=1, num_slots=4)


@pytest.fixture(scope="session")
def process_engine(config: EngineConfig) -> Iterator[SupervisedEngine]:
    """Shared by everything that leaves it as it was; tests that kill it make it whole again."""
    engine = SupervisedEngine(config)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def thread_engine(config: EngineConfig) -> Iterator[ThreadEngine]:
    engine = ThreadEngine(config)
    yield engine
    engine.close()
