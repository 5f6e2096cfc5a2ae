"""Toy adapters: the bytes of small directories, legal and not."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from adapters_registry.registry import Registry
from adapters_registry.values import Version

QUERY = "base_model.model.encoder.layer.0.attention.self.query"
FILES = {"config": "adapter_config.json", "adapter": "adapter_model.safetensors"}


def config(**changes: Any) -> bytes:
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"]}
    return json.dumps(settings | changes).encode()


def lora(rank: int = 2, value: float = 1.0, module: str = QUERY) -> bytes:
    return save({
        f"{module}.lora_A.weight": np.full((rank, 4), value, np.float32),
        f"{module}.lora_B.weight": np.full((4, rank), value, np.float32),
    })  # fmt: skip


def raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header: a value, or the very text of one."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str = "F32", shape: object = (1,), begin: int = 0, end: int = 4) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(directory: Path, **files: bytes | None) -> Path:
    """A whole adapter directory; keywords replace files (None: left out), `__` is a dot."""
    content = {"adapter_config__json": config(), "adapter_model__safetensors": lora(), **files}
    directory.mkdir(exist_ok=True)
    for name, data in content.items():
        if data is not None:
            (directory / name.replace("__", ".")).write_bytes(data)
    return directory


def publish(
    registry: Registry, task: str = "mail", value: float = 1.0, tenant: str = "acme", **options: Any
) -> Version:
    """Publish a toy version; `value` is its content."""
    with registry.stage() as staging:
        staging.write("adapter_config.json", [config()])
        staging.write("adapter_model.safetensors", [lora(value=value)])
        registry.check(staging)
        settings: Mapping[str, Any] = {
            "kind": "lora",
            "base": {"fingerprint": "base-1", "name": "toy"},
            "files": FILES,
            "semantics": {"rank": 2},
            "lineage": {},
            "source": "upload",
            "num_parameters": 16,
        }
        made = registry.publish(tenant=tenant, task=task, staging=staging, **settings | options)
        return made.version
