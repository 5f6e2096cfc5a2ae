"""The linears of a task head, as the family's stock model has them, and the features they read.

Head weights are float32 in any base: they are tiny, and logits deserve the precision.

Shape letters: R rows, D hidden width, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from engine.adapters.flexible_heads import ACTIVATIONS, build_head, checked_layout, is_flexible
from engine.errors import BadAdapter, WrongShape
from engine.families import Family
from engine.families.family import LM_HEAD, HeadLayer, NativeHead
from engine.heads import HEADS, PREDICTION_HEADS, find_head
from engine.text.windows import window_problem

#: "classifier.weight" -> tensor
HeadWeights = dict[str, Tensor]

_PLAIN = NativeHead(layers=(HeadLayer(name="classifier"),))
#: what nearly every stock model has for question answering
_USUAL = {"span": NativeHead(layers=(HeadLayer(name="qa_outputs"),))}
#: each row's hidden states to one vector
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "first": lambda row_TD: row_TD[0],
    "cls": lambda row_TD: row_TD[0],
    "mean": lambda row_TD: row_TD.mean(0),
    "last": lambda row_TD: row_TD[-1],
}
#: which of a row's tokens is read after the last layer
TokensRead = Literal["first", "last", "all"]
#: the one that a pooling reads; one that is not here reads all of them
POOLED_TOKEN: dict[str, TokensRead] = {"first": "first", "cls": "first", "last": "last"}
_BARE = NativeHead(layers=())
_INIT_STD = 0.02  # what the stock models use for a new head


class BaseFacts(Protocol):
    """What a head must know of its base."""

    name: str
    family: Family
    has_pooler: bool
    max_tokens: int
    chat_templates: Mapping[str, str]

    @property
    def can_generate(self) -> bool: ...

    @property
    def hidden_size(self) -> int: ...


class HeadLayers:
    """How one head's settings compute on one family."""

    def __init__(self, head: Mapping[str, Any], family: Family, hidden_size: int) -> None:
        if head["pooling"] == "cls" and family.architecture == "decoder":
            raise BadAdapter(
                f"a decoder's first token has seen none of the others, so the {family.name} family "
                "has no cls pooling; it has native, last and mean"
            )
        if family.architecture == "seq2seq" and head["kind"] not in family.native_heads:
            raise BadAdapter(
                f"the {family.name} family generates text, classes and numbers included; "
                f"it has no {head['kind']} head, only {', '.join(family.native_heads)}"
            )
        self.per_token = find_head(head).per_token
        self._head = dict(head)
        self.native = head["pooling"] == "native"
        self._layout = _layout(dict(head), family)
        self._pooling = self._layout.position if self.native else head["pooling"]
        self._family = family
        self._hidden_size = hidden_size
        #: heads of equal keys have weights of equal shapes and compute alike
        self.key: object = (self.layers, tuple(self.shapes.values()))

    @property
    def prefix(self) -> str:
        """What PEFT's keys have before those of the bare model."""
        if not self._layout.layers and not self.can_generate:
            return ""  # PEFT wraps the bare model itself
        prefix = self._layout.prefix or self._family.prefix
        return f"{prefix}." if prefix else ""

    @property
    def layers(self) -> tuple[HeadLayer, ...]:
        """In the order in which they compute."""
        return self._layout.layers

    @property
    def base_pooler(self) -> bool:
        return self._layout.base_pooler

    @property
    def tokens_read(self) -> TokensRead:
        if self.per_token or self.can_generate:
            return "all"
        return POOLED_TOKEN.get(self._pooling, "all")

    @property
    def can_generate(self) -> bool:
        """Whether its logits are the base's own, over the vocabulary."""
        return self._layout is LM_HEAD

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self._layout.layers:
            is_last = layer is self._layout.layers[-1]
            width = self._num_outputs if is_last else self._hidden_size
            shapes[f"{layer.name}.weight"] = (width, self._hidden_size)
            if layer.bias:
                shapes[f"{layer.name}.bias"] = (width,)
            if layer.norm:
                shapes[f"{layer.norm}.weight"] = (width,)
            if layer.norm and layer.norm_bias:
                shapes[f"{layer.norm}.bias"] = (width,)
        return shapes

    @property
    def _num_outputs(self) -> int:
        return PREDICTION_HEADS[self._head["kind"]].num_outputs(self._head)

    @property
    def modules(self) -> list[str]:
        """Top-level module names, as PEFT's `modules_to_save` lists them."""
        return list(dict.fromkeys(layer.name.partition(".")[0] for layer in self._layout.layers))

    def new_weights(self, generator: torch.Generator) -> HeadWeights:
        return {name: _new(name, shape, generator) for name, shape in self.shapes.items()}

    def check(self, weights: Mapping[str, Tensor]) -> None:
        """Raises BadAdapter or WrongShape."""
        if set(weights) != set(self.shapes):
            raise BadAdapter(
                f"the head has {sorted(weights) or 'no tensors'}; "
                f"this head needs {sorted(self.shapes)}"
            )
        for name, shape in self.shapes.items():
            if tuple(weights[name].shape) != shape:
                have = list(weights[name].shape)
                raise WrongShape(f"the head's {name} has shape {have}; it needs {list(shape)}")

    def pool(self, row_TD: Tensor) -> Tensor:
        """What a head that answers per row reads of it: [D]."""
        return POOLINGS[self._pooling](row_TD)

    def logits(
        self,
        features: Tensor,
        weights: Mapping[str, Tensor],
        dropout: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """[.., D] to [.., O]."""
        for layer in self._layout.layers:
            if dropout is not None:
                features = dropout(features)
            linear = torch.nn.functional.linear(
                features, weights[f"{layer.name}.weight"], weights.get(f"{layer.name}.bias")
            )
            features = ACTIVATIONS[layer.activation](linear)
            if layer.norm:
                scale, shift = weights[f"{layer.norm}.weight"], weights.get(f"{layer.norm}.bias")
                features = torch.nn.functional.layer_norm(
                    features, scale.shape, scale, shift, layer.norm_eps
                )
        return features


def is_head_tensor(name: str, family: Family) -> bool:
    """Whether a tensor's name belongs to some head of the family."""
    layouts = (_PLAIN, *_USUAL.values(), *family.native_heads.values())
    layers = [layer for layout in layouts for layer in layout.layers]
    known = {name for layer in layers for name in (layer.name, layer.norm)}
    return name.rpartition(".")[0] in known and name.rpartition(".")[2] in ("weight", "bias")


def num_outputs(weights: Mapping[str, Tensor], family: Family) -> int | None:
    """How many logits head weights give, by the last linear of a layout; None without any."""
    layouts = (_PLAIN, *_USUAL.values(), *family.native_heads.values())
    names = [f"{layout.layers[-1].name}.weight" for layout in layouts if layout.layers]
    flexible = [name for name in weights if is_flexible(name) and name.endswith(".weight")]
    for name in dict.fromkeys([*sorted(flexible, reverse=True), *names]):
        if name in weights and weights[name].ndim:
            return int(weights[name].shape[0])
    return None


def checked_head(head: Mapping[str, Any], base: BaseFacts) -> tuple[dict[str, Any], HeadLayers]:
    """The head's settings, complete and possible on the base, and its layers.

    Raises BadAdapter.
    """
    kind = find_head(dict(head))
    checked = kind.check(dict(head))
    if head.get("layout") is not None and not kind.bare:
        checked["layout"] = checked_layout(head["layout"])
    layers = HeadLayers(checked, base.family, base.hidden_size)
    if layers.can_generate and not base.can_generate:
        raise BadAdapter(
            f"{base.name} has no output embeddings, so no version of it can generate text"
        )
    if checked.get("format") == "chat" and not base.chat_templates:
        raise BadAdapter(f"format is chat; {base.name} has no chat template, so it must be plain")
    if layers.base_pooler and not base.has_pooler:
        raise BadAdapter(
            f"the head reads the base's pooler, and {base.name} has none; use mean pooling"
        )
    for name, limit in (("window", base.max_tokens), ("dimensions", base.hidden_size)):
        if (checked.get(name) or 0) > limit:
            raise BadAdapter(f"{name} is {checked[name]}; {base.name} has at most {limit}")
    if "stride" in checked and (
        problem := window_problem(checked["window"] or base.max_tokens, checked["stride"])
    ):
        raise BadAdapter(f"of a {checked['kind']} head on {base.name}, {problem}")
    return checked, layers


def _layout(head: dict[str, Any], family: Family) -> NativeHead:
    if "layout" in head:
        return build_head(head["layout"])
    if head["pooling"] != "native":
        return _BARE if find_head(head).bare else _PLAIN
    name = HEADS[head["kind"]].native_as
    first = next((h for h in family.native_heads.values() if h.layers), _PLAIN)
    # an embedding is the token that the family's stock heads read
    known = {**_USUAL, "embed": replace(_BARE, position=first.position), **family.native_heads}
    if name not in known:
        raise BadAdapter(
            f"the {family.name} family has no native {name} head; it has {', '.join(known)}"
        )
    native = known[name]
    unknown = sorted(
        {str(layer.activation) for layer in native.layers} - set(map(str, ACTIVATIONS))
    )
    if unknown:
        raise BadAdapter(
            f"the base's native {name} head uses {unknown[0]}; "
            f"this engine computes {', '.join(each for each in ACTIVATIONS if each)}"
        )
    return native


def _new(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if len(shape) > 1:
        return torch.empty(shape).normal_(0, _INIT_STD, generator=generator)
    return torch.zeros(shape) if name.endswith(".bias") else torch.ones(shape)
