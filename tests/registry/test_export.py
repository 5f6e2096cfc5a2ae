from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters_registry.errors import BlobCorrupt, StorageError
from adapters_registry.registry import Registry
from tests.registry.build import config, lora, publish


def test_an_export_has_the_original_names_and_bytes(registry: Registry, tmp_path: Path) -> None:
    written = registry.export(publish(registry), tmp_path / "out")
    assert sorted(path.name for path in written) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    assert (tmp_path / "out/adapter_config.json").read_bytes() == config()
    assert (tmp_path / "out/adapter_model.safetensors").read_bytes() == lora()


def test_an_exported_manifest_carries_the_digest(registry: Registry, tmp_path: Path) -> None:
    version = publish(registry)
    registry.export(version, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["digest"], manifest["kind"]) == (version.digest, "lora")


def test_an_export_passes_the_strict_reader_again(registry: Registry, tmp_path: Path) -> None:
    registry.export(publish(registry), tmp_path / "out")
    registry.check(tmp_path / "out")


def test_an_export_never_overwrites(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("mine")
    with pytest.raises(StorageError, match="File exists"):
        registry.export(publish(registry), tmp_path)
    assert (tmp_path / "adapter_config.json").read_text() == "mine"


@pytest.mark.survival("G4")
def test_a_rotten_file_is_never_exported(embedded: Registry, tmp_path: Path) -> None:
    version = publish(embedded)
    _, path, _ = embedded.files(version)[0]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(BlobCorrupt, match="now has the sha256"):
        embedded.export(version, tmp_path / "out")
