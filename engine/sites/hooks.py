"""Makes adapters act at the base's sites, around the `forward` of stock modules.

A site is a module boundary. `acting` defines the actions of one forward; outside it the base is
exactly the stock model. Each module's bound `forward` is wrapped instead of using torch's hooks:
with hooks, every call takes torch's slow path, which makes a forward without actions about 5 %
slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.ops.keyed_dropout import KeyedDropout
from engine.ops.pause_backward import pause_backward

Dropout = KeyedDropout
#: from a linear's weight [I, O], its bias and its input [T, I]: its output, with gradients for the
#: adapter's weights there
TrainedLinear = Callable[[Tensor, Tensor | None, Tensor, Dropout | None], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What some slots do at one module boundary, over the flattened stream of all rows.

    `before` receives the module's input [T, I] and may return a replacement; `after` receives input
    and output and changes the output [T, O] in place.
    """

    before: Callable[[Tensor, Dropout | None], Tensor | None] | None = None
    after: Callable[[Tensor, Tensor, Dropout | None], None] | None = None
    #: replaces the linear and the other two while gradients are computed
    autograd: TrainedLinear | None = None


def bind_dropout(
    actions: Mapping[str, Sequence[Action]], dropout: Dropout | None
) -> dict[str, Sequence[Action]]:
    """The same actions with another dropout, for tokens that are not those of the forward."""
    if dropout is None:
        return dict(actions)
    return {
        site: [_bind_action(action, dropout) for action in at_site]
        for site, at_site in actions.items()
    }


def _bind_action(action: Action, dropout: Dropout) -> Action:
    before, after, autograd = action.before, action.after, action.autograd
    return Action(
        before=before and (lambda x, _: before(x, dropout)),
        after=after and (lambda x, out, _: after(x, out, dropout)),
        autograd=autograd and (lambda weight, bias, x, _: autograd(weight, bias, x, dropout)),
    )


class Sites:
    """The boundaries of one base. A forward has one set of actions; another forward may run within
    it only while they are set aside.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self._actions: Mapping[str, Sequence[Action]] = {}
        self._dropout: Dropout | None = None
        self._pause: Callable[[], None] | None = None
        for name in names:
            module = model.get_submodule(name)
            module.forward = self._wrap(name, module, module.forward)

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

    def acts_at(self, name: str) -> bool:
        """Whether something acts at a module in the forward that runs."""
        return bool(self._actions.get(name))

    @contextmanager
    def pausing(self, pause: Callable[[], None]) -> Iterator[None]:
        """While this lasts `pause` is called before each linear, in a forward and, with gradients,
        in the backward that follows. What runs in the pauses changes no bit of either; that there
        are pauses may change the order in which gradients are added up.
        """
        self._pause = pause
        try:
            yield
        finally:
            self._pause = None

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While this lasts the base is the stock model, within a forward too."""
        own = self._actions, self._dropout, self._pause
        self._actions, self._dropout, self._pause = {}, None, None
        try:
            yield
        finally:
            self._actions, self._dropout, self._pause = own

    @contextmanager
    def instead(self, actions: Mapping[str, Sequence[Action]]) -> Iterator[None]:
        """Replaces the actions within a forward, for a part that runs on other tokens."""
        own, self._actions = self._actions, actions
        try:
            yield
        finally:
            self._actions = own

    def also(self, actions: Mapping[str, Sequence[Action]]) -> AbstractContextManager[None]:
        """Replaces the actions at some of the modules and keeps the others."""
        return self.instead({**self._actions, **actions})

    def _wrap(
        self, name: str, module: nn.Module, stock: Callable[..., Tensor]
    ) -> Callable[..., Tensor]:
        linear = module if type(module) in (nn.Linear, Conv1D) else None

        def forward(x: Tensor, *more: Any, **options: Any) -> Tensor:
            if linear is not None and self._pause is not None:
                self._pause()
                if x.requires_grad and torch.is_grad_enabled():
                    x = pause_backward(x, self._pause)
            return act(x, *more, **options)

        def act(x: Tensor, *more: Any, **options: Any) -> Tensor:
            actions = self._actions.get(name)
            if not actions:
                return stock(x, *more, **options)
            if linear is not None and (autograd := _only_autograd(actions)) is not None:
                return self._run_autograd(linear, autograd, x)
            x = self._before(actions, x)
            out = stock(x, *more, **options)
            self._after(actions, x, out)
            return out

        return forward

    def _before(self, actions: Sequence[Action], x: Tensor) -> Tensor:
        for action in actions:
            if action.before is not None:
                changed = action.before(_flat(x), self._dropout)
                x = x if changed is None else changed.view(x.shape)
        return x

    def _after(self, actions: Sequence[Action], x: Tensor, out: Tensor) -> None:
        for action in actions:
            if action.after is not None:
                action.after(_flat(x), _flat(out), self._dropout)

    def _run_autograd(self, linear: nn.Module, autograd: TrainedLinear, x: Tensor) -> Tensor:
        weight, bias = cast(Tensor, linear.weight), cast(Tensor | None, linear.bias)
        weight_IO = weight if isinstance(linear, Conv1D) else weight.T
        return autograd(weight_IO, bias, _flat(x), self._dropout).view(*x.shape[:-1], -1)


def _only_autograd(actions: Sequence[Action]) -> TrainedLinear | None:
    """What takes a linear's place: of one action alone, and only where it learns."""
    return actions[0].autograd if len(actions) == 1 and torch.is_grad_enabled() else None


def _flat(tensor: Tensor) -> Tensor:
    return tensor.view(-1, tensor.shape[-1])
