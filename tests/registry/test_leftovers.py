"""What dead writers of this machine left is swept, and nothing of a living one."""

from __future__ import annotations

import pytest

from adapters_registry.registry import Registry
from tests.registry.build import publish
from tests.services.place import Place


@pytest.mark.survival("G1")
def test_opening_sweeps_what_a_dead_writer_of_this_machine_left(place: Place) -> None:
    registry = place.open_registry()
    publish(registry)
    registry.close()
    staging, incoming = registry.state.directory / "staging", registry.state.blobs._incoming
    for folder in (staging, incoming):
        (folder / "dead").mkdir(parents=True)
    registry = place.open_registry()
    registry.close()
    assert [list(folder.iterdir()) for folder in (staging, incoming)] == [[], []]


def test_a_sweep_names_what_it_removed(registry: Registry) -> None:
    blobs = registry.state.blobs
    (blobs._incoming / "dead").mkdir(parents=True)
    assert blobs.sweep() == ["dead"]
    assert blobs.sweep() == []


@pytest.mark.survival("G8")
def test_a_sweep_leaves_a_living_writers_staging_alone(place: Place, registry: Registry) -> None:
    with registry.stage() as staging:
        staging.write("adapter_config.json", [b"{}"])
        other = place.open_registry()
        other.close()
        assert (staging.path / "adapter_config.json").exists()
