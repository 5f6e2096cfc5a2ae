"""Bottleneck adapters in the files of AdapterHub (the `adapters` library, `BnConfig`).

The name of a tensor determines its place: modules are named for the sublayer that they follow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from engine.adapter_formats.config_fields import flag, indices
from engine.adapter_formats.targets import Targets
from engine.errors import BadAdapter
from engine.kinds.adapter_kind import Layout, Weights

_KEY = re.compile(
    r"(?P<host>.+)\.adapters\.[^.]+\.adapter_(?P<part>down\.0|up)\.(?P<field>weight|bias)"
)
_FIELDS = {
    ("down.0", "weight"): "down", ("down.0", "bias"): "down_bias",
    ("up", "weight"): "up", ("up", "bias"): "up_bias",
}  # fmt: skip
#: what the library's configuration must say for each variant
_VARIANTS: dict[str, dict[str, bool]] = {
    "houlsby": {"is_parallel": False, "original_ln_before": False},
    "pfeiffer": {"is_parallel": False, "original_ln_before": True},
    "parallel": {"is_parallel": True, "original_ln_before": False},
}
#: settings that change the computation in ways this kind does not have
_NEEDED: dict[str, Any] = {
    "original_ln_after": True, "ln_before": False, "ln_after": False, "use_gating": False,
    "residual_before_ln": True, "inv_adapter": None, "cross_adapter": False, "phm_layer": False,
}  # fmt: skip
#: files older than the version field call the approximate gelu by the exact one's name
_OLD_NAMES = {"gelu": "gelu_new", "gelu_orig": "gelu"}
_MOST_REDUCTION = 2**16
#: models whose layers have the library's modules further inside
_INSIDE = {
    "albert": {
        "attention": "albert_layers.0.attention.attention_adapters",
        "feed_forward": "albert_layers.0.output_adapters",
    }
}
_NAME, _VERSION = "adapterd", "adapters.1.0.0"


def read_config(config: Mapping[str, Any], activations: Sequence[str]) -> dict[str, Any]:
    """Our settings from adapter_config.json; raises BadAdapter for what is not served."""
    inner = config.get("config")
    if not isinstance(inner, Mapping):
        raise BadAdapter(f"adapter_config.json gives config as {inner!r}; it must be an object")
    for name, needed in _NEEDED.items():
        if inner.get(name, needed) != needed:
            raise BadAdapter(
                f"adapter_config.json sets {name} to {inner[name]!r}; "
                f"this engine serves bottlenecks with {needed!r} there"
            )
    activation = str(inner.get("non_linearity")).lower()
    if "version" not in config:
        activation = _OLD_NAMES.get(activation, activation)
    if activation not in activations:
        raise BadAdapter(
            f"the activation is {activation!r}; this engine serves {', '.join(activations)}"
        )
    scaling = inner.get("scaling", 1.0)
    if not isinstance(scaling, int | float) or isinstance(scaling, bool):
        raise BadAdapter(f"the scaling is {scaling!r}; this engine serves fixed numbers")
    return {
        "variant": _variant(inner),
        "reduction": _reduction(inner.get("reduction_factor")),
        "activation": activation,
        "scaling": float(scaling),
    }


def targets(config: Mapping[str, Any], layout: Layout) -> Targets:
    """Where the library's configuration says that bottlenecks sit."""
    inner = config["config"]
    left_out = indices(inner, "leave_out")
    marks = {"attention": "mh_adapter", "feed_forward": "output_adapter"}
    names = [name for name, mark in marks.items() if flag(inner, mark)]
    sites = {
        layout.sublayer(name, layer)
        for layer in range(layout.num_layers)
        for name in names
        if layer not in left_out
    }
    description = f"{' and '.join(marks[name] for name in names)} in every layer"
    return Targets(
        description=description + (f" but {', '.join(map(str, left_out))}" if left_out else ""),
        sites=frozenset(sites),
    )


def content(config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """adapter_config.json."""
    sites = set(config["sites"])
    used = {layout.sites[site].layer for site in sites}
    attention, output = (
        any(layout.sublayer(name, layer) in sites for layer in used)
        for name in ("attention", "feed_forward")
    )
    return {
        "config": {
            **_NEEDED, **_VARIANTS[config["variant"]], "adapter_residual_before_ln": False,
            "mh_adapter": attention, "output_adapter": output, "scaling": config["scaling"],
            "reduction_factor": config["reduction"], "non_linearity": config["activation"],
            "leave_out": [layer for layer in range(layout.num_layers) if layer not in used],
        },
        "hidden_size": layout.hidden_size, "model_type": layout.model_type, "model_name": None,
        "model_class": None, "name": _NAME, "version": _VERSION,
    }  # fmt: skip


def group_tensors(tensors: Mapping[str, Tensor], layout: Layout) -> Weights:
    """Tensors by sublayer and part; a host that is no sublayer of the base stays as it is named."""
    hosts = {
        host: layout.sublayer(name, layer)
        for layer in range(layout.num_layers)
        for name in ("attention", "feed_forward")
        for host in _hosts(name, layer, layout)
    }
    weights: Weights = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise BadAdapter(
                f"the adapter holds {key}, which is neither a bottleneck nor a head of this base"
            )
        site = hosts.get(match["host"], match["host"])
        weights.setdefault(site, {})[_FIELDS[match["part"], match["field"]]] = tensor.float()
    return weights


def name_tensors(weights: Weights, layout: Layout) -> dict[str, Tensor]:
    """The inverse of `group_tensors`, as the stock task model with adapters names them."""
    fields = {part: f"adapter_{module}.{field}" for (module, field), part in _FIELDS.items()}
    hosts = {
        layout.sublayer(name, layer): _hosts(name, layer, layout)[0]
        for layer in range(layout.num_layers)
        for name in ("attention", "feed_forward")
    }
    return {
        f"{layout.family.prefix}.{hosts[site]}.adapters.{_NAME}.{fields[part]}": tensor
        for site, parts in weights.items()
        for part, tensor in parts.items()
    }


def _reduction(factor: Any) -> Any:
    """One number, or one for each layer; the tensors say what it comes to."""
    for value in factor.values() if isinstance(factor, Mapping) else (factor,):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= _MOST_REDUCTION:
            raise BadAdapter(
                f"the reduction_factor is {factor!r}; it must be a number above 0 and at most "
                f"{_MOST_REDUCTION}"
            )
    return factor


def _variant(inner: Mapping[str, Any]) -> str:
    for variant, marks in _VARIANTS.items():
        if all(bool(inner.get(name)) is value for name, value in marks.items()):
            return variant
    raise BadAdapter(
        "adapter_config.json sets is_parallel and original_ln_before, which exclude each other"
    )


def _hosts(name: str, layer: int, layout: Layout) -> list[str]:
    """The library's module at a sublayer: its own, or in models of BERT's build the output's."""
    path = layout.layer_paths[layer]
    own = f"{path}.{'attention' if name == 'attention' else 'output'}_adapters"
    output = layout.sublayer(name, layer)
    if inside := _INSIDE.get(layout.model_type):
        return [f"{path}.{inside[name]}", own]
    if output.endswith(".output.dense"):
        return [output.removesuffix(".dense"), own]
    return [own]
