"""What an adapter kind is: its settings, its weights, its files, and its effect at each site.

Knows no slot or batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.adapter_formats.targets import Targets, peft_targets
from engine.errors import BadAdapter, BadTraining, NoMatchingSite, WrongShape
from engine.families import Family
from engine.families.module_names import is_targeted
from engine.kind_settings import KIND_SETTINGS
from engine.ops.grouped_product import Activation
from engine.port import Site
from engine.sites.effect import Effect

#: site -> part ("down", "up", …) -> tensor
Weights = dict[str, dict[str, Tensor]]


class Layout(Protocol):
    """What a kind may know of the base."""

    @property
    def family(self) -> Family: ...

    @property
    def model_type(self) -> str: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def sites(self) -> dict[str, Site]: ...

    @property
    def boundaries(self) -> Sequence[str]:
        """Every module at which an effect may act."""
        ...

    @property
    def num_layers(self) -> int: ...

    @property
    def layer_paths(self) -> Sequence[str]: ...

    @property
    def hidden_size(self) -> int: ...

    def sublayer(self, name: str, layer: int) -> str:
        """The path of a sublayer's output."""
        ...

    def weight(self, site: str) -> Tensor:
        """A linear's frozen weight, [O, I] whichever way the module keeps it."""
        ...

    def bias(self, path: str) -> Tensor | None:
        """The frozen bias of any module whose output an effect can change; None without one."""
        ...

    def is_transposed(self, site: str) -> bool:
        """Whether the module keeps its weight as [I, O]."""
        ...

    def apply_norm(self, path: str, x: Tensor) -> Tensor:
        """What the layer norm at a path makes of x, adapters left out."""
        ...


class AdapterKind(Protocol):
    """One kind. `config` is always what `check` or `read` returned, with its exact "sites"."""

    name: str

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        """Settings for a new adapter, complete; raises BadTraining."""
        ...

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        """Fresh float32 masters that change nothing yet."""
        ...

    def effect(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], layout: Layout
    ) -> Effect:
        """What it does at one site, in the precision the base runs in. Differentiable."""
        ...

    def group(self, config: Mapping[str, Any]) -> str:
        """Only slots of equal groups are batched: equal routes and an equal activation."""
        ...

    def activation(self, config: Mapping[str, Any]) -> Activation | None:
        """What stands between the two products of a low-rank one."""
        ...

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        """Settings and weights from a version's files; raises BadAdapter.

        Keys are relative to the bare model.
        """
        ...

    def targets(self, config: Mapping[str, Any], layout: Layout) -> Targets | None:
        """The sites that the configuration `read` was given names; None where it names none."""
        ...

    def missing(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        sites: Sequence[str],
        layout: Layout,
    ) -> list[str]:
        """What to tell of other tensors that should be there, given what `read` was and its sites;
        raises MissingTensors.
        """
        ...

    def write(
        self, config: Mapping[str, Any], weights: Weights, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The inverse of `read`: the content of adapter_config.json, and tensors by name."""
        ...


class CompleteFiles:
    """What kinds have in common of which no tensor can be missing unnoticed."""

    def missing(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        sites: Sequence[str],
        layout: Layout,
    ) -> list[str]:
        del config, tensors, sites, layout
        return []


class PeftTargets(CompleteFiles):
    """What kinds have in common whose files are PEFT's: modules are named as PEFT names them."""

    def targets(self, config: Mapping[str, Any], layout: Layout) -> Targets | None:
        return peft_targets(config, layout.sites, layout.family.prefixes)


def check_names(config: Mapping[str, Any], kind: str) -> None:
    """Raises BadTraining for a setting this kind does not have."""
    known = KIND_SETTINGS[kind].names()
    unknown = sorted(name for name, value in config.items() if name not in known and value)
    if unknown:
        raise BadTraining(
            f"{kind} has no setting {unknown[0]!r}; it has {', '.join(known) or 'none at all'}"
        )


def chosen_sites(
    config: Mapping[str, Any], layout: Layout, default: Sequence[str] | None
) -> list[str]:
    """The linears in "layers" that "targets", else `default`, name; None names every one."""
    targets, layers = config.get("targets"), chosen_layers(config, layout.num_layers)
    if not (targets is None or isinstance(targets, list | tuple)):
        raise BadTraining(f"targets is {targets!r}; it must be a list of names of linears")
    names = default if targets is None else targets
    sites = [
        s.name for s in layout.sites.values() if s.layer in layers and is_targeted(s.name, names)
    ]
    if not sites:
        raise BadTraining(
            f"targets {names} match none of the base's linears, such as {min(layout.sites)}"
        )
    return sites


def check_sites(weights: Weights, layout: Layout) -> None:
    """Raises NoMatchingSite unless every adapted module is a linear of the base."""
    unknown = sorted(set(weights) - set(layout.sites))
    if unknown or not weights:
        raise NoMatchingSite(
            f"{len(weights) - len(unknown)} of {len(weights)} adapted modules are sites of "
            f"this base; it has no {', '.join(unknown[:3]) or 'adapter weights at all'}, "
            f"only modules such as {min(layout.sites)}"
        )


def chosen_layers(config: Mapping[str, Any], num_layers: int) -> list[int]:
    """Which layers a new adapter acts in.

    "layers" lists them, or counts them from the top; None means all.
    """
    layers = config.get("layers")
    if layers is None:
        return list(range(num_layers))
    if isinstance(layers, str):
        raise BadTraining(f"layers is {layers!r}; the engine takes a number or a list of indices")
    chosen = (
        list(range(num_layers - layers, num_layers))
        if isinstance(layers, int)
        else sorted(set(layers))
    )
    if not chosen or chosen[0] < 0 or chosen[-1] >= num_layers:
        raise BadTraining(f"layers is {layers}; the base has layers 0 to {num_layers - 1}")
    return chosen


def positive(config: Mapping[str, Any], name: str, default: int, largest: int) -> int:
    value = config.get(name)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise BadTraining(f"{name} is {value!r}; it must be a whole number from 1 to {largest}")
    return value


def check_shapes(
    site: Site, parts: Mapping[str, Tensor], expected: Mapping[str, Sequence[int | None]]
) -> None:
    """Raises BadAdapter for missing parts, WrongShape for others; None stands for any size."""
    if set(parts) != set(expected):
        raise BadAdapter(f"{site.name} has the parts {sorted(parts)}; it needs {sorted(expected)}")
    for name, shape in expected.items():
        have = list(parts[name].shape)
        if len(have) != len(shape) or any(
            w not in (None, h) for w, h in zip(shape, have, strict=True)
        ):
            shown_shape = [("r" if w is None else w) for w in shape]
            raise WrongShape(f"{site.name}: {name} has shape {have}; the base needs {shown_shape}")
