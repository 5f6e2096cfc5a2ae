"""The float32 masters of one training slot, their optimizer and the best weights so far.

Accelerate loads their state. The base is not prepared by Accelerate: it is not trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from engine.training.masters_state import MastersState


class Masters:
    """Named parameters with one AdamW over them."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        groups: list[dict[str, Any]],
        device: torch.device,
    ) -> None:
        # of a plain tensor the module would make, and place, one of its own
        assert all(isinstance(tensor, nn.Parameter) for tensor in tensors.values())
        self.tensors = dict(tensors)
        self._best = {name: _frozen_copy(tensor) for name, tensor in tensors.items()}
        #: trained tensors that no gradient reached yet
        self.unreached = set(tensors)
        self.num_steps = 0
        # placed already: Accelerate would choose the first device
        self._accelerator = Accelerator(
            cpu=device.type == "cpu", device_placement=False, mixed_precision="no"
        )
        if device.type == "cuda":
            torch.cuda.set_device(device)  # it has made the first one the thread's
        optimizer = torch.optim.AdamW(groups, lr=0.0, fused=True)
        self._module, self._optimizer = self._accelerator.prepare(self._as_module(), optimizer)

    @property
    def optimizer(self) -> AcceleratedOptimizer:
        return self._optimizer

    @property
    def trained(self) -> set[str]:
        """Names of what was in some step, a step before a checkpoint included."""
        return {n for n, tensor in self.tensors.items() if tensor in self._optimizer.state}

    def step(self, learning_rate: float) -> None:
        """Learn from the gradients that are there."""
        self._note_gradients()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group["scale"]
        self._optimizer.step()
        self.num_steps += 1

    @torch.no_grad()
    def snapshot(self) -> None:
        for name, tensor in self.tensors.items():
            self._best[name].copy_(tensor)

    @torch.no_grad()
    def restore(self) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(self._best[name])

    @torch.no_grad()
    def average(self, others: Sequence[Masters]) -> None:
        """Take the mean of the others' tensors, which have the same names and shapes."""
        for name, tensor in self.tensors.items():
            tensor.copy_(torch.stack([other.tensors[name] for other in others]).mean(0))
        # what one of them changed is changed in the mean
        self.unreached = set.intersection(*(other.unreached for other in others))

    def copy_state(self) -> MastersState:
        """All that `read` needs, as it is now."""
        return MastersState.copy_of(self._module.state_dict(), self._optimizer.state_dict())

    def read(self, directory: Path) -> None:
        """Only data is read: the optimizer's state with `weights_only`, which runs no code."""
        self._accelerator.load_state(str(directory), load_kwargs={"weights_only": True})

    def _as_module(self) -> nn.Module:
        """Lists, as parameters may not have the names of ours: they are full of dots."""
        masters, best = self.tensors.values(), self._best.values()
        return nn.ModuleDict({"masters": nn.ParameterList(masters), "best": nn.ParameterList(best)})

    def _note_gradients(self) -> None:
        if self.unreached:
            grads = {name: tensor.grad for name, tensor in self.tensors.items()}
            self.unreached -= {n for n, g in grads.items() if g is not None and bool(g.any())}


def _frozen_copy(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)
