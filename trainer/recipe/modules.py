"""Checks the modules of the base that a job's settings name, before the job is queued. Knows about
kinds only that they adapt linear layers by name.
"""

from __future__ import annotations

from engine.errors import BadAdapter
from engine.families.module_names import is_targeted, resolve_pattern
from engine.port import EngineInfo
from trainer.errors import BadSetting
from trainer.settings.settings import TrainingSettings


def check_modules(settings: TrainingSettings, info: EngineInfo) -> None:
    """Raises BadSetting for names that match no adapted module."""
    _check_layers(settings.layers, info.num_layers)
    adapted = _adapted_linears(settings, info)
    _check_targets(settings, adapted, info)
    for name in ("rank_pattern", "alpha_pattern"):
        try:
            resolve_pattern(name, getattr(settings, name), adapted)
        except BadAdapter as error:
            raise BadSetting(
                f"{error}; the settings layers and targets choose the adapted modules.", name=name
            ) from None
    _check_feedforward(settings, adapted)


def find_layers(settings: TrainingSettings, info: EngineInfo) -> tuple[int, ...]:
    """The indices of the adapted layers, from the lowest up. Where a family cannot be run in parts,
    the upper half saves nothing, so `half` is all of them.
    """
    layers, num = settings.layers, info.num_layers
    if isinstance(layers, tuple):
        return layers
    if isinstance(layers, str):
        layers = (num + 1) // 2 if layers == "half" and info.ranged else num
    return tuple(range(num - layers, num))


def frozen_share(kind: str, settings: TrainingSettings, info: EngineInfo) -> float:
    """The share of layers whose activations are computed once per row and cached."""
    if not info.ranged:
        return 0.0
    return min(adapted_layers(kind, settings, info), default=info.num_layers) / info.num_layers


def adapted_layers(kind: str, settings: TrainingSettings, info: EngineInfo) -> list[int]:
    """From the lowest up."""
    if kind == "head_only":
        return []
    names = set(_adapted_linears(settings, info))
    return sorted({site.layer for site in info.sites if site.name in names})


def _adapted_linears(settings: TrainingSettings, info: EngineInfo) -> list[str]:
    """The names of the linear layers that layers and targets choose."""
    layers = find_layers(settings, info)
    sites = [site.name for site in info.sites if site.layer in layers]
    return [name for name in sites if is_targeted(name, settings.targets)]


def _check_targets(settings: TrainingSettings, adapted: list[str], info: EngineInfo) -> None:
    """Checks every target, because a target that matches nothing would be ignored silently."""
    for target in settings.targets or ():
        if not any(is_targeted(site.name, [target]) for site in info.sites):
            raise BadSetting(
                f"targets names {target!r}, which matches no linear layer of the base; one of them "
                f"is {info.sites[0].name}.",
                name="targets",
            )
        if not any(is_targeted(name, [target]) for name in adapted):
            raise BadSetting(
                f"targets names {target!r}, which matches no module of the adapted layers; "
                f"layers is {settings.layers}.",
                name="targets",
            )


def _check_feedforward(settings: TrainingSettings, adapted: list[str]) -> None:
    for name in settings.feedforward or ():
        if not any(is_targeted(site, [name]) for site in adapted):
            raise BadSetting(
                f"feedforward names {name!r}, which matches no adapted module of this base, such "
                f"as {adapted[0]}; the settings layers and targets choose the adapted modules.",
                name="feedforward",
            )


def _check_layers(layers: tuple[int, ...] | int | str, num_layers: int) -> None:
    if isinstance(layers, int) and not 1 <= layers <= num_layers:
        raise BadSetting(f"layers is {layers}; the base has {num_layers} layers.", name="layers")
    for layer in layers if isinstance(layers, tuple) else ():
        if not 0 <= layer < num_layers:
            raise BadSetting(
                f"layers names {layer}; the base has layers 0 to {num_layers - 1}.", name="layers"
            )
