"""One registry per test: the embedded one and the one in memory, which must not differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters_registry.registry import Registry
from adapters_registry.testing import memory_registry


@pytest.fixture(params=["embedded", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    folder = tmp_path / "registry"
    opened = Registry.open(folder) if request.param == "embedded" else memory_registry(folder)
    yield opened
    opened.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry")
    yield opened
    opened.close()
