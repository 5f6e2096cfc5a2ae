"""An adapter with its head, in host memory: read from a version's files, checked, or written.

Knows file layouts: PEFT's directory where PEFT has the method, AdapterHub's for its bottlenecks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.adapter_formats.head_config import completed_head
from engine.adapter_formats.sentence_transformers import described_embedding
from engine.adapters.adapterhub import architecture, described_head, lora_as_peft, stock_head_config
from engine.adapters.base_copies import without_copies
from engine.adapters.directory import (
    CONFIG,
    HEAD,
    HUB_HEAD,
    HUB_HEAD_CONFIG,
    HUB_WEIGHTS,
    PEFT_PREFIX,
    WEIGHTS,
    AdapterFiles,
    is_adapterhub,
)
from engine.adapters.files import tensor_bytes
from engine.adapters.head_layers import HeadLayers, HeadWeights, checked_head, num_outputs
from engine.errors import BadAdapter, EngineError
from engine.failures import is_device_lost, is_out_of_memory
from engine.heads import HEADS
from engine.kinds import KINDS, Weights
from engine.model.base import Base
from engine.model.loading import stock_model
from engine.ops.grouped_product import Activation
from engine.sites.effect import Effect

_log = logging.getLogger(__name__)
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

    def copy(self) -> Adapter:
        """In host memory, whatever becomes of the masters."""
        weights = {site: copy_tensors(parts) for site, parts in self.weights.items()}
        return replace(self, weights=weights, head_weights=copy_tensors(self.head_weights))

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


@contextmanager
def translate_read_errors() -> Iterator[None]:
    """Turn an unexpected error over an adapter's files into BadAdapter, and log it: uploaded files
    may hold anything, and must not end the engine.
    """
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        if is_out_of_memory(error) or is_device_lost(error):
            raise
        _log.exception("an adapter cannot be read", extra={"action": "adapter.unreadable"})
        raise BadAdapter(
            "the adapter cannot be read: its files are not structured like those of an adapter"
        ) from error


def adapter_of(files: AdapterFiles, base: Base, head: Mapping[str, Any] | None) -> Adapter:
    config, tensors = files.config, files.tensors
    kind = architecture(config) if files.is_adapterhub else _kind(config)
    if files.is_adapterhub and kind == "lora":
        config, tensors = lora_as_peft(config, tensors)
    tensors = without_copies(tensors, base.modules, base.output)
    settings, weights = KINDS[kind].read(config, tensors, base)
    merged = completed_head(
        head,
        files.manifest,
        config,
        num_outputs(files.head_weights, base.family),
        _describe_head(files, head or {}, base),
    )
    checked, layers = checked_head(merged, base)
    layers.check(files.head_weights)
    return Adapter(
        kind=kind, config=settings, weights=weights, head=checked, head_weights=files.head_weights
    )


def copy_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def write_adapter(adapter: Adapter, directory: Path, base: Base) -> dict[str, str]:
    """Write the version's files into an existing directory; answers role -> file name."""
    content, tensors = KINDS[adapter.kind].write(adapter.config, adapter.weights, base)
    layers = HeadLayers(adapter.head, base.family, base.hidden_size)
    bare = not layers.shapes
    # a head alone is the adapter's file, which a version always has
    inside = not tensors or ("peft_type" in content and (layers.native or bare))
    files = {"config": CONFIG, "adapter": HUB_WEIGHTS if is_adapterhub(content) else WEIGHTS}
    if "peft_type" in content:
        content |= {
            "task_type": _peft_task(adapter.head["kind"], base),
            "base_model_name_or_path": base.name,
        }
        prefix = f"{PEFT_PREFIX}{layers.prefix}"
        tensors = {f"{prefix}{name}": t for name, t in tensors.items()}
    if inside:
        content |= {"modules_to_save": layers.modules or None} if tensors else {}
        tensors |= {f"{PEFT_PREFIX}{name}": t for name, t in adapter.head_weights.items()}
    elif not bare:
        files |= _write_head(adapter, directory, base, for_library=is_adapterhub(content))
    (directory / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    (directory / files["adapter"]).write_bytes(tensor_bytes(tensors))
    return files


def _write_head(
    adapter: Adapter, directory: Path, base: Base, *, for_library: bool
) -> dict[str, str]:
    """A head in a file of its own, as AdapterHub's library has it where it is a stock model's."""
    stock = stock_model(base.model.config, adapter.head["kind"]) if for_library else None
    if stock is None or adapter.head["pooling"] != "native" or "layout" in adapter.head:
        (directory / HEAD).write_bytes(tensor_bytes(adapter.head_weights))
        return {"head": HEAD}
    common = {
        "hidden_size": base.hidden_size,
        "model_type": base.model_type,
        "model_name": "",
    }
    content = stock_head_config(adapter.head, stock, common)
    (directory / HUB_HEAD_CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    (directory / HUB_HEAD).write_bytes(tensor_bytes(adapter.head_weights))
    return {"head": HUB_HEAD, "head_config": HUB_HEAD_CONFIG}


def _peft_task(head: str, base: Base) -> str:
    return "SEQ_2_SEQ_LM" if base.family.architecture == "seq2seq" else HEADS[head].peft_task


def _kind(config: Mapping[str, Any]) -> str:
    """Ours by name, PEFT's by its type."""
    ours = config.get("adapterd_kind")
    kind = ours if isinstance(ours, str) else _PEFT_KINDS.get(str(config.get("peft_type")))
    if kind not in KINDS:
        named = ours or config.get("peft_type")
        raise BadAdapter(
            f"the adapter's kind (peft_type) is {named!r}; this engine serves {', '.join(KINDS)}"
        )
    return kind


def _describe_head(files: AdapterFiles, overrides: Mapping[str, Any], base: Base) -> dict[str, Any]:
    """What the documents beside an adapter say of its head."""
    if files.is_adapterhub:
        return described_head(files.head_config, base.family.architecture == "decoder")
    if overrides.get("kind") not in (None, "", "embed"):
        return {}
    return described_embedding(files.modules, {} if overrides.get("pooling") else files.pooling)
