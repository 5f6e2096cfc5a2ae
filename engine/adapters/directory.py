"""The files of an adapter's directory, as the engine reads them: by role, each as data only.

Owns their names: PEFT's and ours, AdapterHub's, and what sentence-transformers leaves beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.adapters.files import read_bytes, read_json, read_json_list, read_tensors
from engine.adapters.flexible_heads import is_flexible, renumber_layers
from engine.adapters.head_layers import HeadWeights, is_head_tensor
from engine.errors import BadAdapter
from engine.families import Family
from engine.port import File

CONFIG, WEIGHTS, HEAD = "adapter_config.json", "adapter_model.safetensors", "head.safetensors"
HUB_WEIGHTS, HUB_HEAD, HUB_HEAD_CONFIG = (
    "adapter.safetensors",
    "model_head.safetensors",
    "head_config.json",
)
PEFT_PREFIX = "base_model.model."
#: role -> the names that a file of it may have
_NAMES: dict[str, tuple[str, ...]] = {
    "config": (CONFIG,), "adapter": (WEIGHTS, HUB_WEIGHTS), "head": (HEAD, HUB_HEAD),
    "head_config": (HUB_HEAD_CONFIG,), "manifest": ("manifest.json",),
    "modules": ("modules.json",), "pooling": ("pooling_config.json",),
    "prompts": ("config_sentence_transformers.json",),
}  # fmt: skip
_WEIGHTS_OF_A_VERSION = ("config", "adapter", "head")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFiles:
    """What the files hold. Tensors are named relative to the bare model."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    head_weights: HeadWeights
    manifest: dict[str, Any] = field(default_factory=dict)
    #: AdapterHub's, of its head
    head_config: dict[str, Any] = field(default_factory=dict)
    #: sentence-transformers': the modules after the base, and how the pooling among them pools
    modules: list[Any] = field(default_factory=list)
    pooling: dict[str, Any] = field(default_factory=dict)
    #: and what it writes before each text
    prompts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_adapterhub(self) -> bool:
        return is_adapterhub(self.config)


def is_adapterhub(config: Mapping[str, Any]) -> bool:
    """AdapterHub's library says what it saved in an object of its own inside."""
    return isinstance(config.get("config"), Mapping) and not (
        {"peft_type", "adapterd_kind"} & set(config)
    )


def read_files(files: list[File], family: Family) -> AdapterFiles:
    contents = {file.role: read_bytes(file) for file in files}
    config = read_json(contents.get("config", b""), CONFIG)
    tensors, head_weights = _split(contents, family)
    others = {
        role: read_json(contents[role], _NAMES[role][0])
        for role in ("manifest", "head_config", "pooling", "prompts")
        if role in contents
    }
    modules = read_json_list(contents.get("modules", b"[]"), "modules.json")
    return AdapterFiles(
        config=config, tensors=tensors, head_weights=head_weights, modules=modules, **others
    )


def staged_files(directory: Path) -> list[File]:
    """The files of a staged directory, by role."""
    return [
        File(role=role, path=str(directory / name))
        for role, names in _NAMES.items()
        for name in names
        if (directory / name).exists()
    ]


def version_file_names(files: list[File], config: Mapping[str, Any]) -> dict[str, str]:
    """Role -> name of the files that are the version's own; the rest was only read."""
    roles = {*_WEIGHTS_OF_A_VERSION, *(("head_config",) if is_adapterhub(config) else ())}
    return {file.role: Path(file.path).name for file in files if file.role in roles}


def _split(contents: Mapping[str, bytes], family: Family) -> tuple[dict[str, Tensor], HeadWeights]:
    """Adapter tensors and head tensors, named relative to the bare model."""
    adapter: dict[str, Tensor] = {}
    head: HeadWeights = {}
    for role in ("adapter", "head"):
        for key, tensor in read_tensors(contents[role], role).items() if role in contents else ():
            name = key.removeprefix(PEFT_PREFIX)
            if {"original_module", "modules_to_save"} & set(name.split(".")):
                continue  # with `bias: all` PEFT saves a head's biases again under its wrapper
            if is_head_tensor(name, family) or is_flexible(name):
                if name in head:
                    raise BadAdapter(f"the head's {name} is there twice")
                head[name] = tensor.float()
            else:
                outer = next((p for p in family.prefixes if name.startswith(f"{p}.")), None)
                adapter[name.removeprefix(f"{outer}.")] = tensor
    return adapter, renumber_layers(head)
