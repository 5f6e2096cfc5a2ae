"""An adapter with its head, in host memory: read from a version's files, checked, or written.

The one place that knows file layouts: PEFT's directory where PEFT has the method, ours elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.base import Base
from engine.effect import Effect
from engine.errors import BadAdapter, EngineError, NonFiniteWeights, WrongBase
from engine.faults import device_lost, out_of_memory
from engine.foreign import completed_head, part
from engine.head_layers import HeadLayers, HeadWeights, checked_head, head_tensor, num_outputs
from engine.heads import HEADS
from engine.kinds import KINDS, Weights
from engine.port import File
from engine.product import Activation
from engine.version_files import read_bytes, read_json, read_tensors, tensor_bytes

CONFIG, WEIGHTS, HEAD = "adapter_config.json", "adapter_model.safetensors", "head.safetensors"
ROLES = {"config": CONFIG, "adapter": WEIGHTS, "head": HEAD}
_PEFT_PREFIX = "base_model.model."
_PEFT_KINDS = {"LORA": "lora", "IA3": "ia3", "BEFT": "bias"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Float32 masters of one version, and the settings that give them meaning."""

    kind: str
    config: dict[str, Any]
    weights: Weights
    head: dict[str, Any]
    head_weights: HeadWeights

    @property
    def tensors(self) -> dict[str, Tensor]:
        parts = {f"{s}.{p}": t for s, site in self.weights.items() for p, t in site.items()}
        return parts | self.head_weights

    @property
    def num_parameters(self) -> int:
        return sum(t.numel() for t in self.tensors.values())

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    @property
    def host_bytes(self) -> int:
        return self.num_bytes

    @property
    def group(self) -> str:
        return KINDS[self.kind].group(self.config)

    @property
    def activation(self) -> Activation | None:
        return KINDS[self.kind].activation(self.config)

    def effects(self, base: Base) -> dict[str, Effect]:
        """What it does at each site of the base, on its device. Differentiable."""
        kind, device = KINDS[self.kind], base.numerics.device
        return {
            site: kind.effect(
                site, {name: t.to(device) for name, t in parts.items()}, self.config, base
            )
            for site, parts in self.weights.items()
        }

    @property
    def semantics(self) -> dict[str, Any]:
        """What the manifest says of it: everything but the weights that changes its answers."""
        settings = {k: v for k, v in self.config.items() if k != "sites"}
        return {
            "kind": self.kind,
            "kind_config": settings,
            "sites": list(self.config["sites"]),
            "head": self.head,
        }


def read_adapter(files: list[File], base: Base, head: Mapping[str, Any] | None = None) -> Adapter:
    """A version's files as an adapter of this base; `head` completes or overrides what they say.

    Raises BadAdapter and its kin. Every byte is hashed as it is read: what is checked is what is
    served.
    """
    try:
        return _read_adapter(files, base, head)
    except EngineError:
        raise
    except Exception as error:
        if out_of_memory(error) or device_lost(error):
            raise
        # a stranger's files may hold anything anywhere, and must not end the engine
        raise BadAdapter(f"the adapter cannot be read: {type(error).__name__}: {error}") from error


def _read_adapter(files: list[File], base: Base, head: Mapping[str, Any] | None) -> Adapter:
    contents = {file.role: read_bytes(file) for file in files}
    config = read_json(contents.get("config", b""), CONFIG)
    kind = _kind(config)
    adapter_tensors, head_weights = _split(contents, base)
    settings, weights = KINDS[kind].read(config, adapter_tensors, base)
    manifest = read_json(contents["manifest"], "manifest.json") if "manifest" in contents else {}
    _check_base(manifest, base)
    merged = completed_head(head, manifest, config, num_outputs(head_weights, base.family))
    checked, layers = checked_head(merged, base)
    layers.check(head_weights)
    adapter = Adapter(
        kind=kind, config=settings, weights=weights, head=checked, head_weights=head_weights
    )
    _check_finite(adapter, base)
    return adapter


def write_adapter(adapter: Adapter, directory: Path, base: Base) -> dict[str, str]:
    """Write the version's files into an existing directory; answers role -> file name."""
    content, tensors = KINDS[adapter.kind].write(adapter.config, adapter.weights, base)
    layers = HeadLayers(adapter.head, base.family, base.hidden_size)
    bare = not layers.shapes
    # a head alone is the adapter's file, which a version always has
    inside = not tensors or ("peft_type" in content and (layers.native or bare))
    files = {"config": CONFIG, "adapter": WEIGHTS}
    if "peft_type" in content:
        content |= {
            "task_type": _peft_task(adapter.head["kind"], base),
            "base_model_name_or_path": base.name,
        }
        prefix = f"{_PEFT_PREFIX}{layers.prefix}"
        tensors = {f"{prefix}{name}": t for name, t in tensors.items()}
    if inside:
        content |= {"modules_to_save": layers.modules or None} if tensors else {}
        tensors |= {f"base_model.model.{name}": t for name, t in adapter.head_weights.items()}
    elif not bare:
        files["head"] = HEAD
        (directory / HEAD).write_bytes(tensor_bytes(adapter.head_weights))
    (directory / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    (directory / WEIGHTS).write_bytes(tensor_bytes(tensors))
    return files


def staged_files(directory: Path) -> list[File]:
    """The files of a staged directory, by role."""
    roles = {**ROLES, "manifest": "manifest.json"}
    return [
        File(role=r, path=str(directory / n)) for r, n in roles.items() if (directory / n).exists()
    ]


def _peft_task(head: str, base: Base) -> str:
    return "SEQ_2_SEQ_LM" if base.family.architecture == "seq2seq" else HEADS[head].peft_task


def _kind(config: Mapping[str, Any]) -> str:
    """Ours by name, PEFT's by its type; AdapterHub's say nothing and hold a bottleneck's config."""
    inner = config.get("config")
    if isinstance(inner, Mapping) and "non_linearity" in inner:
        return "bottleneck"
    ours = config.get("adapterd_kind")
    kind = ours if isinstance(ours, str) else _PEFT_KINDS.get(str(config.get("peft_type")))
    if kind not in KINDS:
        named = ours or config.get("peft_type")
        raise BadAdapter(f"the adapter's kind is {named!r}; this engine serves {', '.join(KINDS)}")
    return kind


def _split(contents: Mapping[str, bytes], base: Base) -> tuple[dict[str, Tensor], HeadWeights]:
    """Adapter tensors and head tensors, named relative to the bare model."""
    adapter: dict[str, Tensor] = {}
    head: HeadWeights = {}
    for role in ("adapter", "head"):
        for key, tensor in read_tensors(contents[role], role).items() if role in contents else ():
            name = key.removeprefix(_PEFT_PREFIX)
            if {"original_module", "modules_to_save"} & set(name.split(".")):
                continue  # with `bias: all` PEFT saves a head's biases again under its wrapper
            if head_tensor(name, base.family):
                head[name] = tensor.float()
            else:
                outer = next((p for p in base.family.prefixes if name.startswith(f"{p}.")), None)
                adapter[name.removeprefix(f"{outer}.")] = tensor
    return adapter, head


def _check_base(manifest: Mapping[str, Any], base: Base) -> None:
    claimed = part(manifest, "base").get("fingerprint", base.fingerprint)
    if claimed != base.fingerprint:
        raise WrongBase(
            f"the adapter was made for the base {str(claimed)[:12]}…; "
            f"this server runs {base.fingerprint[:12]}… ({base.name})"
        )


def _check_finite(adapter: Adapter, base: Base) -> None:
    """As they are, and as they will multiply: scaled, and in the precision of the base."""
    for name, tensor in adapter.tensors.items():
        if not torch.isfinite(tensor).all():
            raise NonFiniteWeights(f"{name} holds NaN or infinite values")
    for site, effect in adapter.effects(base).items():
        if not effect.finite:
            raise NonFiniteWeights(f"{site} overflows {base.numerics.name} once it is scaled")
