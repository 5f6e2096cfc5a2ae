"""What the engine writes passes the registry's strict reading, and is read back as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.reader import check_directory
from tests.contracts.cases import VARIANTS, Case
from tests.contracts.engine_under_test import EngineUnderTest, read_adapter
from tests.contracts.tiny import BASES


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_written_version_is_read_back_as_it_was(
    make_engine: Callable[..., EngineUnderTest], family: str, variant: str
) -> None:
    under_test = make_engine(family)
    layers = {} if variant == "head_only" else {"layers": [under_test.base.num_layers - 1]}
    adapter = under_test.adapter(Case(family, variant, "classify", "mean"), **layers)
    directory = under_test.write(adapter)
    check_directory(directory, Limits())
    again = read_adapter(directory, under_test.base, adapter.head)
    assert again.semantics == {**adapter.semantics, "sites": sorted(adapter.config["sites"])}
    assert set(again.tensors) == set(adapter.tensors)
    for name, tensor in adapter.tensors.items():
        assert again.tensors[name].equal(tensor)


def test_a_version_without_any_weights_is_one_too(
    make_engine: Callable[..., EngineUnderTest],
) -> None:
    under_test = make_engine("bert")
    adapter = under_test.adapter(Case("bert", "head_only", "embed", "mean"))
    directory = under_test.write(adapter)
    check_directory(directory, Limits())
    assert read_adapter(directory, under_test.base, adapter.head).tensors == {}
    assert under_test.load(adapter)


def test_adapterhubs_directory_passes_the_front_door_under_its_own_names(
    tmp_path: Path,
) -> None:
    from adapters_registry.adapter_files.staging import Staging
    from adapters_registry.storage.disk import Disk

    golden = Path(__file__).parent / "golden" / "pfeiffer"
    with Staging(tmp_path, Limits(), Disk()) as staging:
        for file in sorted(golden.iterdir()):
            if file.name != "expected.json":
                staging.write(file.name, [file.read_bytes()])
        check_directory(staging.path, Limits())
        assert sorted(path.name for path in staging.path.iterdir()) == [
            "adapter.safetensors", "adapter_config.json", "head_config.json",
            "model_head.safetensors",
        ]  # fmt: skip
        assert staging.left_out == []
