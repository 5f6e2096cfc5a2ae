"""Copies of the base's weights in an adapter's file: PEFT saves embeddings on request or where it
cannot tell whether they were resized, and every module of `modules_to_save`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engine.errors import BadAdapter, WrongShape

_OUTPUT = "lm_head.weight"


def without_copies(
    tensors: Mapping[str, Tensor], model: nn.Module, output: nn.Module | None
) -> dict[str, Tensor]:
    """The tensors that are not the base's own, value for value, in the bare model or as its output
    embeddings; biases are left to the kind.

    Raises BadAdapter for one that was trained, WrongShape for one of another size: all rows share
    the base's.
    """
    kept = {}
    for name, tensor in tensors.items():
        own = _weight(output, "weight") if name == _OUTPUT and output else _weight(model, name)
        if own is None:
            kept[name] = tensor
        elif own.shape != tensor.shape:
            raise WrongShape(
                f"the adapter brings {name} of shape {list(tensor.shape)}; the base has "
                f"{list(own.shape)}, and all rows share it: train on this base without resizing it"
            )
        elif not torch.equal(own.cpu(), tensor.to(own.dtype)):
            raise BadAdapter(
                f"the adapter brings {name} with other values than the base's, which all rows "
                "share; train it without that module in modules_to_save"
            )
    return kept


def _weight(model: nn.Module, name: str) -> Tensor | None:
    if name.rpartition(".")[2] != "weight":
        return None
    try:
        return model.get_parameter(name)
    except AttributeError:
        return None
