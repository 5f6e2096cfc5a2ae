"""Many versions in the registry of a server that runs: the weights of a registered one, each time
with other numbers. Knows the registry and files, no engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors.numpy import load_file, save_file

from adapters_registry.registry import Registry
from adapters_registry.storage.disk import Disk
from adapters_registry.values import Version

TENANT = "default"
WEIGHTS = ".safetensors"
#: of what is added to the matrices that start at zero and to the head
SCALE = 0.02


class UnsyncedDisk(Disk):
    """Thousands of files need not survive a power cut."""

    def sync(self, file: BinaryIO) -> None:
        file.flush()

    def sync_directory(self, path: Path) -> None:
        pass


def fill_registry(data_dir: Path, template: str, tasks: Iterable[str], scratch: Path) -> None:
    """Publishes one version of each task, like the template's but with weights of its own."""
    registry = Registry.open(data_dir, disk=UnsyncedDisk())
    try:
        version = registry.resolve(TENANT, template)
        registry.export(version, scratch)
        weights = next(path for path in scratch.iterdir() if path.suffix == WEIGHTS)
        tensors = load_file(weights)
        for number, task in enumerate(tasks):
            save_file(_perturb(tensors, number), weights)
            _publish(registry, version, task, scratch)
    finally:
        registry.close()


def _publish(registry: Registry, like: Version, task: str, directory: Path) -> None:
    manifest = like.manifest
    registry.publish(
        tenant=TENANT, task=task, staging=directory, kind=manifest.kind, base=manifest.base,
        files={file.role: file.path for file in manifest.files}, semantics=manifest.semantics,
        lineage=like.lineage, source=like.source, num_parameters=like.num_parameters,
    )  # fmt: skip


def _perturb(
    tensors: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], seed: int
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(seed)
    return {
        name: tensor
        if "lora_A" in name
        else tensor + SCALE * rng.standard_normal(tensor.shape, np.float32)
        for name, tensor in tensors.items()
    }
