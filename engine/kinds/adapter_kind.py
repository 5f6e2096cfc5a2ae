"""What an adapter kind is: its settings, its weights, its files, and where its product reads.

Knows no slot or batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.errors import BadAdapter, BadTraining, WrongShape
from engine.port import Site
from engine.product import LowRank

#: site -> part ("down", "up", …) -> tensor
Weights = dict[str, dict[str, Tensor]]


class Layout(Protocol):
    """What a kind may know of the base."""

    @property
    def sites(self) -> dict[str, Site]: ...

    @property
    def sublayers(self) -> dict[str, Site]: ...

    @property
    def num_layers(self) -> int: ...

    @property
    def hidden_size(self) -> int: ...


class AdapterKind(Protocol):
    """One kind. `config` is always what `check` or `read` returned."""

    name: str
    #: the product reads the site's output rather than its input
    reads_output: bool

    def check(self, config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
        """Settings for a new adapter, complete, with its exact "sites"; raises BadTraining."""
        ...

    def new_weights(
        self, config: Mapping[str, Any], layout: Layout, generator: torch.Generator
    ) -> Weights:
        """Fresh float32 masters that change nothing yet."""
        ...

    def low_rank(
        self, site: str, parts: Mapping[str, Tensor], config: Mapping[str, Any], dtype: torch.dtype
    ) -> LowRank:
        """One site's product, in the precision the base runs in. Differentiable."""
        ...

    def activation(
        self, config: Mapping[str, Any]
    ) -> tuple[str, Callable[[Tensor], Tensor] | None]:
        """What stands between the two products, with a name: only equal names share a block."""
        ...

    def read(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout
    ) -> tuple[dict[str, Any], Weights]:
        """Settings and weights from a version's files; raises BadAdapter.

        Keys are relative to the bare model.
        """
        ...

    def write(
        self, config: Mapping[str, Any], weights: Weights
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The inverse of `read`: the content of adapter_config.json, and tensors by name."""
        ...


def chosen_layers(config: Mapping[str, Any], num_layers: int) -> list[int]:
    """Which layers a new adapter acts in.

    "layers" lists them, or counts them from the top; None means all.
    """
    layers = config.get("layers")
    if layers is None:
        return list(range(num_layers))
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
    site: Site, parts: Mapping[str, Tensor], wanted: Mapping[str, Sequence[int | None]]
) -> None:
    """Raises BadAdapter for missing parts, WrongShape for others; None stands for any size."""
    if set(parts) != set(wanted):
        raise BadAdapter(f"{site.name} has the parts {sorted(parts)}; it needs {sorted(wanted)}")
    for name, shape in wanted.items():
        have = list(parts[name].shape)
        if len(have) != len(shape) or any(
            w not in (None, h) for w, h in zip(shape, have, strict=True)
        ):
            expected = [("r" if w is None else w) for w in shape]
            raise WrongShape(f"{site.name}: {name} has shape {have}; the base needs {expected}")
