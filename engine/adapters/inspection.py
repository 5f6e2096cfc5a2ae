"""Inspects a staged adapter directory: what it holds, and whether it is complete and for this base.

A pure function of files and base. Versions are inspected once, before they are published.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.adapter_formats.base_names import base_doubt
from engine.adapter_formats.config_fields import names, text
from engine.adapter_formats.head_config import part
from engine.adapter_formats.sentence_transformers import prompt_warnings
from engine.adapter_formats.targets import check_targets
from engine.adapters.adapter import Adapter, adapter_of, translate_read_errors
from engine.adapters.adapterhub import lora_as_peft, lora_targets
from engine.adapters.base_copies import without_copies
from engine.adapters.directory import AdapterFiles, read_files, staged_files, version_file_names
from engine.adapters.loaded_adapter import convert
from engine.errors import MissingTensors, WrongBase
from engine.families.module_names import is_name
from engine.heads import HEADS
from engine.heads.embed import EmbedHead
from engine.kinds import KINDS
from engine.model.base import Base
from engine.port import Inspect, Inspected


def inspect(step: Inspect, base: Base) -> Inspected:
    """Raises BadAdapter and its kin for what this base cannot serve as it was trained."""
    staged = staged_files(Path(step.directory))
    with translate_read_errors():
        files = read_files(staged, base.family)
        warnings, other_base = _check_base(files, base, step.other_base)
        adapter = adapter_of(files, base, step.head)
        convert(adapter, base)  # a check too: it must not overflow the base's precision
        warnings += _check_weights(files, adapter, base)
        warnings += prompt_warnings(files.prompts) if adapter.head["kind"] == EmbedHead.name else []
    return Inspected(
        semantics=adapter.semantics,
        files=version_file_names(staged, files.config),
        num_parameters=adapter.num_parameters,
        warnings=warnings,
        other_base=other_base,
    )


def _check_base(files: AdapterFiles, base: Base, allow_other_base: bool) -> tuple[list[str], str]:
    """Warnings about the base that the files name, and its name where `allow_other_base` is needed.

    Our own manifest has the fingerprint, which is decisive; other files have only a name.
    """
    fingerprint = text(part(files.manifest, "base"), "fingerprint")
    if fingerprint and fingerprint != base.fingerprint:
        named = text(part(files.manifest, "base"), "name") or f"{fingerprint[:12]}…"
        if not allow_other_base:
            raise WrongBase(
                f"the adapter was made for the base {fingerprint[:12]}… ({named}); "
                f"this server runs {base.fingerprint[:12]}… ({base.name})"
            )
        return [], named
    claimed = text(files.config, "base_model_name_or_path") or _hub_name(files.config)
    doubt = None if fingerprint else base_doubt(claimed, base.served)
    if doubt is None:
        return [], ""
    if doubt.is_other and not allow_other_base:
        raise WrongBase(doubt.sentence)
    return ([], claimed) if doubt.is_other else ([doubt.sentence], "")


def _hub_name(config: Mapping[str, Any]) -> str:
    return text(config, "model_name")


def _check_weights(files: AdapterFiles, adapter: Adapter, base: Base) -> list[str]:
    """Raises MissingTensors where weights and targets of the configuration do not match; returns
    warnings.
    """
    kind, sites = KINDS[adapter.kind], adapter.config["sites"]
    tensors = without_copies(files.tensors, base.modules, base.output)
    targets = kind.targets(files.config, base)
    if files.is_adapterhub and adapter.kind == "lora":
        _, tensors = lora_as_peft(files.config, files.tensors)
        targets = lora_targets(files.config, sites, base.layer_paths)
    _check_saved(files, adapter, base)
    gap = check_targets(sites, targets, base.sites) if targets else None
    return [*([gap] if gap else []), *kind.missing(files.config, tensors, sites, base)]


def _check_saved(files: AdapterFiles, adapter: Adapter, base: Base) -> None:
    """Raises MissingTensors where modules_to_save names a module of the base whose weights, which
    were trained, are not there. Names that a model does not have are no matter to PEFT.
    """
    saved = names(files.config, "modules_to_save")
    held = [f".{name}" for name in (*files.tensors, *files.head_weights)]
    shared = base.family.shared_modules if HEADS[adapter.head["kind"]].per_token else ()
    paths = [f".{name}" for name, _ in base.model.named_modules()]
    paths += [".lm_head"] if base.can_generate else []
    for name in saved if isinstance(saved, list) else ():
        known = is_name(name) and any(path.endswith(f".{name}") for path in paths)
        if known and name not in shared and not any(f".{name}." in key for key in held):
            raise MissingTensors(
                f"adapter_config.json names {name} in modules_to_save, a module of this base; the "
                "weights hold no tensors of it. Save the adapter again, whole"
            )
