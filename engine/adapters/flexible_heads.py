"""Heads of some linears with one activation between them, as AdapterHub's library builds them
(`AutoAdapterModel.add_…_head`): their layers, and how their tensors are named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadAdapter
from engine.families.family import HeadLayer, NativeHead

#: what may stand between two linears
ACTIVATIONS: dict[str | None, Any] = {
    None: lambda x: x, "tanh": torch.tanh, "relu": torch.relu, "gelu": torch.nn.functional.gelu,
    "gelu_new": partial(torch.nn.functional.gelu, approximate="tanh"),
    "silu": torch.nn.functional.silu, "swish": torch.nn.functional.silu,
    "sigmoid": torch.sigmoid, "leakyrelu": torch.nn.functional.leaky_relu,
}  # fmt: skip
_KEY = re.compile(r"heads\.(?:(?P<head>[^.]+)\.)?(?P<index>\d{1,4})\.(?P<part>weight|bias)")
_MOST_LAYERS = 8


def is_flexible(name: str) -> bool:
    """Whether a tensor's name is one of such a head's."""
    return _KEY.fullmatch(name) is not None


def renumber_layers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the linears of such a head counted from 0: a file counts what is between them as well.

    Raises BadAdapter for more than one head.
    """
    keys = {name: match for name in weights if (match := _KEY.fullmatch(name))}
    if len(heads := {match["head"] for match in keys.values()}) > 1:
        raise BadAdapter(
            f"the weights hold {len(heads)} heads, {', '.join(sorted(map(str, heads)))}; save the "
            "adapter with the one that answers"
        )
    order = sorted({int(match["index"]) for match in keys.values()})
    places = {index: place for place, index in enumerate(order)}
    return {
        f"heads.{places[int(keys[name]['index'])]}.{keys[name]['part']}"
        if name in keys
        else name: t
        for name, t in weights.items()
    }


def checked_layout(layout: Any) -> dict[str, Any]:
    """The layout among a head's settings, complete; raises BadAdapter."""
    if not isinstance(layout, Mapping):
        raise BadAdapter(f"the head's layout is {layout!r}; it must be an object")
    layers, activation = layout.get("layers"), layout.get("activation")
    if isinstance(layers, bool) or not isinstance(layers, int) or not 1 <= layers <= _MOST_LAYERS:
        raise BadAdapter(f"the head has layers {layers!r}; it may have 1 to {_MOST_LAYERS}")
    if not isinstance(activation, str | None) or activation not in ACTIVATIONS:
        raise BadAdapter(
            f"the head's activation is {activation!r}; this engine computes "
            f"{', '.join(each for each in ACTIVATIONS if each)}"
        )
    flags = {name: layout.get(name) for name in ("bias", "pooler")}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise BadAdapter(f"the head's {name} is {value!r}; it is true or false")
    return {"layers": layers, "activation": activation if layers > 1 else None, **flags}


def build_head(layout: Mapping[str, Any]) -> NativeHead:
    """A checked layout as the linears of a head."""
    last = layout["layers"] - 1
    hidden = [HeadLayer(name=f"heads.{i}", activation=layout["activation"]) for i in range(last)]
    return NativeHead(
        layers=(*hidden, HeadLayer(name=f"heads.{last}", bias=layout["bias"])),
        base_pooler=layout["pooler"],
    )
