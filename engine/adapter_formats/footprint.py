"""Checks by names and shapes whether tensors could be an adapter of a base, before the engine, in
which all batches wait, reads their values. Torch-free.

Rough on purpose and never stricter than the engine, which checks again what passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.errors import BadAdapter, NoMatchingSite
from engine.port.messages import EngineInfo

MAX_RANK = 256
#: no trained head has more outputs
_MAX_OUTPUTS = 65_536
#: the widest bottleneck, as a multiple of the base's hidden size
_MAX_WIDTHS = 4
_VALUE_BYTES = 4
_MIB = 2**20
#: parts of tensor names that occur in adapters and never in heads
_MARKS = (".lora_", ".ia3_", ".adapters.")


class Shape(NamedTuple):
    """The name and shape of a tensor."""

    name: str
    sizes: Sequence[int]


def check_footprint(shapes: Iterable[Shape], info: EngineInfo) -> int:
    """The bytes that the adapter takes in memory as float32. Raises BadAdapter where it is larger
    than any adapter of this base with its head.
    """
    layers = _layers(info)
    of_adapter, of_others = 0, 0
    for shape in shapes:
        num = math.prod(shape.sizes)
        if any(layer in f".{shape.name}." for layer in layers):
            of_adapter += num
        elif any(mark in shape.name for mark in _MARKS):
            raise NoMatchingSite(
                f"the adapter holds {shape.name[:200]}, which is in no layer of this base, such as "
                f"{min(layers, default='none').strip('.')}"
            )
        else:
            of_others += num
    _check("the adapter's tensors", of_adapter, _most_of_adapter(info))
    _check("the tensors beside those of the base's layers", of_others, _most_of_head(info))
    return _VALUE_BYTES * (of_adapter + of_others)


def _layers(info: EngineInfo) -> set[str]:
    """Where sites are: each name up to the number of its layer, or all of it."""
    layers = set()
    for name in (*(site.name for site in info.sites), *info.sublayers):
        parts = name.split(".")
        numbers = [place for place, part in enumerate(parts) if part.isdigit()]
        layers.add(".".join(parts[: numbers[0] + 1] if numbers else parts))
    return {f".{name}." for name in layers}


def _most_of_adapter(info: EngineInfo) -> int:
    """Low-rank parts of the highest rank at every linear, and a bottleneck at every sublayer."""
    linears = sum((MAX_RANK + 2) * (s.in_features + s.out_features) for s in info.sites)
    width = _MAX_WIDTHS * info.hidden_size
    num_sublayers = max(len(info.sublayers), 2 * info.num_layers)
    return linears + num_sublayers * (2 * width * info.hidden_size + 4 * width)


def _most_of_head(info: EngineInfo) -> int:
    return info.hidden_size * (_MAX_OUTPUTS + _MAX_WIDTHS * info.hidden_size)


def _check(what: str, num: int, most: int) -> None:
    if num > most:
        raise BadAdapter(
            f"{what} take {_VALUE_BYTES * num / _MIB:.1f} MiB; the largest that could fit this "
            f"base take {_VALUE_BYTES * most / _MIB:.1f} MiB"
        )
