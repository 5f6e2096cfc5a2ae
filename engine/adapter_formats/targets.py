"""Finds the modules of a base that a PEFT configuration targets, by names alone. Torch-free.

Regular expressions are never run; where a configuration has one, only the tensors tell the targets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.adapter_formats.config_fields import indices, names
from engine.errors import MissingTensors
from engine.families.module_names import is_name, is_targeted

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The sites that a configuration targets, and a description of it for error messages."""

    description: str
    #: None where the configuration has an expression or no targets
    sites: frozenset[str] | None


def peft_targets(
    config: Mapping[str, Any], sites: Collection[str], prefixes: Sequence[str]
) -> Targets:
    """`prefixes` are what stock models have before a site's name."""
    targets, excluded = names(config, "target_modules"), names(config, "exclude_modules")
    layers, pattern = indices(config, "layers_to_transform"), names(config, "layers_pattern")
    patterns = [pattern] if isinstance(pattern, str) else pattern or []
    saved = names(config, "modules_to_save") or []
    if targets is None:
        return Targets(description="no target_modules to compare", sites=None)
    description = f"target_modules {_truncate(targets)}"
    if isinstance(targets, str) or (isinstance(excluded, str) and excluded):
        return Targets(description=description, sites=None)
    if layers and not all(map(is_name, patterns)):
        return Targets(description=description, sites=None)
    description += f" in the layers_to_transform {_truncate(layers)}" if layers else ""

    def is_target(path: str) -> bool:
        if excluded and is_targeted(path, excluded):
            return False
        if any(f".{name}." in f".{path}." for name in saved):
            return False
        if path in targets or not layers:
            return is_targeted(path, targets)
        return is_targeted(path, targets) and _layer(path, patterns) in layers

    targeted_sites = {
        site for site in sites if any(is_target(path) for path in expand_prefixes(site, prefixes))
    }
    return Targets(description=description, sites=frozenset(targeted_sites))


def check_targets(adapted: Collection[str], targets: Targets, sites: Collection[str]) -> str | None:
    """Raises MissingTensors where the adapted sites are not those of the configuration.

    Where an expression prevents that comparison, returns a warning if a module is adapted in some
    layers and not in others, as after a lost shard.
    """
    if targets.sites is None:
        return _gap(adapted, targets, sites)
    if missing := sorted(targets.sites - set(adapted)):
        raise MissingTensors(
            f"adapter_config.json names {targets.description}, which is {len(targets.sites)} "
            f"modules of this base; the weights hold no tensors for {len(missing)} of them: "
            f"{_join_some(missing)}. Save the adapter again, whole"
        )
    if more := sorted(set(adapted) - targets.sites):
        raise MissingTensors(
            f"the weights hold tensors for {_join_some(more)}; adapter_config.json names only "
            f"{targets.description}, so whoever reads it would leave these out"
        )
    return None


def expand_prefixes(site: str, prefixes: Sequence[str]) -> list[str]:
    """Every name by which some stock model has a site."""
    return [site, *(f"{prefix}.{site}" for prefix in prefixes if prefix)]


def _layer(path: str, patterns: Sequence[str]) -> int | None:
    """The layer that PEFT reads from a name: its last number that follows two names and has more
    behind it, or the one behind a pattern.
    """
    parts = path.split(".")
    places = [i for i in range(1, len(parts) - 1) if parts[i].isdecimal()]
    if not patterns:
        return next((int(parts[i]) for i in reversed(places) if i >= 2), None)
    for pattern in patterns:
        for i in reversed(places):
            if f".{'.'.join(parts[:i])}".endswith(f".{pattern}"):
                return int(parts[i])
    return None


def _gap(adapted: Iterable[str], targets: Targets, sites: Iterable[str]) -> str | None:
    adapted_sites = set(adapted)
    kinds = {_in_any_layer(site) for site in adapted_sites}
    alike = [site for site in sites if _in_any_layer(site) in kinds]
    if not (lacking := [site for site in alike if site not in adapted_sites]):
        return None
    return (
        f"the weights adapt {len(adapted_sites)} of the {len(alike)} modules of this base that are "
        f"named alike, and not {_join_some(lacking)}; adapter_config.json names "
        f"{targets.description}, and expressions are never run, so make sure that nothing is lost"
    )


def _in_any_layer(site: str) -> str:
    return re.sub(r"\.\d+\.", ".*.", site, count=1)


def _join_some(names_: Sequence[str]) -> str:
    more = len(names_) - _MOST_SHOWN
    return ", ".join(names_[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _truncate(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
