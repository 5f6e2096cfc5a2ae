"""Adapters acting at the base's sites, through forward hooks on stock modules.

A site is a module boundary. For one forward at a time, `acting` says which blocks of which adapters
act there; outside it the hooks do nothing and the base is exactly the stock model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.product import Block

Dropout = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One block at one site.

    `reads_output`: the product reads what the module gave rather than what it got.
    """

    block: Block
    reads_output: bool


class Sites:
    """The hooks of one base. Never nested: a forward has one set of actions."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self._actions: Mapping[str, Sequence[Action]] | None = None
        self._dropout: Dropout | None = None
        for name in names:
            model.get_submodule(name).register_forward_hook(self._hook(name))

    @contextmanager
    def acting(
        self, actions: Mapping[str, Sequence[Action]], dropout: Dropout | None = None
    ) -> Iterator[None]:
        assert self._actions is None, "a forward is already running"
        self._actions, self._dropout = actions, dropout
        try:
            yield
        finally:
            self._actions, self._dropout = None, None

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            del module
            actions = self._actions.get(name) if self._actions else None
            if actions:
                self._act(actions, args[0], output)

        return after

    def _act(self, actions: Sequence[Action], given: Tensor, output: Tensor) -> None:
        out_TO, in_TI = output.view(-1, output.shape[-1]), given.view(-1, given.shape[-1])
        for action in actions:
            action.block.add_to(
                out_TO, _read(out_TO) if action.reads_output else in_TI, self._dropout
            )


def _read(out_TO: Tensor) -> Tensor:
    """The output as the product may read it: autograd needs the values from before the addition."""
    return out_TO.clone() if torch.is_grad_enabled() else out_TO
