"""One registry per test, over each storage; and one over a directory, for what only that has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters_registry.registry import Registry
from tests.services.place import Place


@pytest.fixture
def registry(place: Place) -> Iterator[Registry]:
    opened = place.open_registry()
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(place: Place) -> Iterator[Registry]:
    """Another server over the storage of `registry`."""
    opened = place.open_registry("two")
    yield opened
    opened.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry")
    yield opened
    opened.close()
