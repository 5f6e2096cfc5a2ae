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
    tensors: Mapping[str, Tensor], modules: Mapping[str, nn.Module], output: nn.Module | None
) -> dict[str, Tensor]:
    """The tensors that are not the base's own, value for value, in its modules by their paths or
    as its output embeddings; biases are left to the kind.

    Raises BadAdapter for one that was trained, WrongShape for one of another size: all rows share
    the base's.
    """
    kept = {}
    for name, tensor in tensors.items():
        path, _, last = name.rpartition(".")
        module = output if name == _OUTPUT and output else modules.get(path)
        own = getattr(module, "weight", None) if last == "weight" else None
        if not isinstance(own, nn.Parameter):
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
