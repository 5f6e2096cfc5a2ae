"""How a model family is laid out: where its layers, boundaries, positions and stock heads are.

Names only, no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLayer:
    """One linear of a head, as the stock model names it; `activation` follows it, then `norm`."""

    name: str
    activation: str | None = None
    bias: bool = True
    #: a layer norm without a bias
    norm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeHead:
    """The stock `AutoModelFor…` head: the base's pooler or none, then linears; the last answers."""

    layers: tuple[HeadLayer, ...]
    #: the base's own (frozen) pooler stands between the token and the linears
    base_pooler: bool = False
    #: which token a head reads that answers per row
    position: Literal["first", "last"] = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sublayer:
    """The boundaries of one residual branch: paths with `{layer}` for the layer's own."""

    #: its first argument is what the branch reads
    input: str
    #: its output is the branch's, before residual and norm
    output: str
    #: the layer norm that belongs to the branch
    norm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One layout. Paths are relative to the bare `AutoModel`; `{layer}` is a layer's path."""

    name: str
    #: values of `config.model_type`
    model_types: tuple[str, ...]
    #: the bare model's attribute inside a stock task model, which prefixes PEFT's keys
    prefix: str
    embeddings: str
    layers: str
    #: "attention" and "feed_forward", each with its boundaries
    sublayers: Mapping[str, Sublayer]
    #: by head kind
    native_heads: Mapping[str, NativeHead]
    token_types: bool
    #: positions start after the padding index
    positions_after_padding: bool = False
    #: the stock code takes positions and attention from us, so rows can share one stream
    packable: bool = True

    def layer_path(self, index: int) -> str:
        return f"{self.layers}.{index}"
