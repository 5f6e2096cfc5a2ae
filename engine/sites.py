"""Adapters acting at the base's sites, through forward hooks on stock modules.

A site is a module boundary. For one forward at a time, `acting` says what happens there; outside it
the hooks do nothing and the base is exactly the stock model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.keyed_dropout import KeyedDropout

Dropout = KeyedDropout
#: of a linear's weight [I, O], its bias and what it gets, [T, I]: what it gives with gradients for
#: what is learned there
Taught = Callable[[Tensor, Tensor | None, Tensor, Dropout | None], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What some slots do at one module boundary, over the flattened stream of all rows.

    `before` sees what the module gets, [T, I], and may answer what it gets instead; `after` changes
    what it gave, [T, O], in place, and may look at both.
    """

    before: Callable[[Tensor, Dropout | None], Tensor | None] | None = None
    after: Callable[[Tensor, Tensor, Dropout | None], None] | None = None
    #: while gradients are wanted, in place of the linear and of the other two
    taught: Taught | None = None


def bound(
    actions: Mapping[str, Sequence[Action]], dropout: Dropout | None
) -> dict[str, Sequence[Action]]:
    """The same with a dropout of their own, for tokens that are not those of the forward's."""
    if dropout is None:
        return dict(actions)
    return {site: [_bound(action, dropout) for action in each] for site, each in actions.items()}


def _bound(action: Action, dropout: Dropout) -> Action:
    before, after, taught = action.before, action.after, action.taught
    return Action(
        before=before and (lambda given, _: before(given, dropout)),
        after=after and (lambda given, out, _: after(given, out, dropout)),
        taught=taught and (lambda weight, bias, given, _: taught(weight, bias, given, dropout)),
    )


class Sites:
    """The hooks of one base. Never nested: a forward has one set of actions."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self._actions: Mapping[str, Sequence[Action]] = {}
        self._dropout: Dropout | None = None
        for name in names:
            module = model.get_submodule(name)
            module.register_forward_pre_hook(self._before(name))
            module.register_forward_hook(self._after(name))
            if type(module) in (nn.Linear, Conv1D):
                module.forward = self._linear(name, module)

    @contextmanager
    def acting(
        self, actions: Mapping[str, Sequence[Action]], dropout: Dropout | None = None
    ) -> Iterator[None]:
        assert not self._actions, "a forward is already running"
        self._actions, self._dropout = actions, dropout
        try:
            yield
        finally:
            self._actions, self._dropout = {}, None

    @contextmanager
    def instead(self, actions: Mapping[str, Sequence[Action]]) -> Iterator[None]:
        """Within a forward, for a part that runs on other tokens than the rows'."""
        own, self._actions = self._actions, actions
        try:
            yield
        finally:
            self._actions = own

    def _before(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...] | None]:
        def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            del module
            given = None
            for action in () if self._taught(name) else self._actions.get(name, ()):
                if action.before is not None:
                    given = _flat(args[0]) if given is None else given
                    changed = action.before(given, self._dropout)
                    given = given if changed is None else changed
            return None if given is None else (given.view(args[0].shape), *args[1:])

        return before

    def _after(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            del module
            for action in () if self._taught(name) else self._actions.get(name, ()):
                if action.after is not None:
                    action.after(_flat(args[0]), _flat(output), self._dropout)

        return after

    def _linear(self, name: str, module: nn.Module) -> Callable[[Tensor], Tensor]:
        stock, transposed = module.forward, isinstance(module, Conv1D)

        def forward(given: Tensor) -> Tensor:
            taught = self._taught(name)
            if taught is None:
                return cast(Tensor, stock(given))
            weight, bias = cast(Tensor, module.weight), cast(Tensor | None, module.bias)
            weight_IO = weight if transposed else weight.T
            out = taught(weight_IO, bias, _flat(given), self._dropout)
            return out.view(*given.shape[:-1], -1)

        return forward

    def _taught(self, name: str) -> Taught | None:
        """What takes a linear's place: of one action alone, and only where it learns."""
        actions = self._actions.get(name, ())
        return actions[0].taught if len(actions) == 1 and torch.is_grad_enabled() else None


def _flat(tensor: Tensor) -> Tensor:
    return tensor.view(-1, tensor.shape[-1])
