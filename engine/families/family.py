"""How a model family is laid out: where its layers, boundaries, positions and stock heads are.

Names only, no tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLayer:
    """One linear of a head, as the stock model names it; `activation` follows it, then `norm`."""

    name: str
    activation: str | None = None
    bias: bool = True
    norm: str | None = None
    norm_bias: bool = False
    norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeHead:
    """The stock `AutoModelFor…` head: the base's pooler or none, then linears; the last answers."""

    layers: tuple[HeadLayer, ...]
    #: the base's own (frozen) pooler stands between the token and the linears
    base_pooler: bool = False
    #: which token a head reads that answers per row, or the mean of all
    position: Literal["first", "last", "mean"] = "first"
    #: the bare model's attribute inside this stock model, where it is not the family's usual one
    prefix: str | None = None


#: what decoders have for a head: one linear without a bias, on the last token
LAST_TOKEN = NativeHead(layers=(HeadLayer(name="score", bias=False),), position="last")
#: text is written by the base's own output embeddings, which are no part of a version
LM_HEAD = NativeHead(layers=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sublayer:
    """The boundaries of one residual branch: paths with `{layer}` for the layer's own."""

    #: its first argument is what the branch reads
    input: str
    #: its output is the branch's, before residual and norm
    output: str
    #: the layer norm before the branch where the family's norms stand first, else the one after it
    norm: str


#: what BERT and the models that kept its layers have
BERT_SUBLAYERS = {
    "attention": Sublayer(
        input="{layer}.attention",
        output="{layer}.attention.output.dense",
        norm="{layer}.attention.output.LayerNorm",
    ),
    "feed_forward": Sublayer(
        input="{layer}.intermediate.dense",
        output="{layer}.output.dense",
        norm="{layer}.output.LayerNorm",
    ),
}

BERT_ACTIVATION = ("intermediate.dense", "intermediate.intermediate_act_fn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One layout. Paths are relative to the bare `AutoModel`; `{layer}` is a layer's path."""

    name: str
    #: values of `config.model_type`
    model_types: tuple[str, ...]
    #: the bare model's attribute inside a stock task model, which prefixes PEFT's keys
    prefix: str
    layers: str
    #: the second stack of an encoder and decoder; its layers count on after the first's
    decoder_layers: str | None = None
    #: where a decoder beside an encoder counts positions by itself
    decoder_positions: str | None = None
    #: how the decoder's linears end that read what the encoder made
    from_encoder: tuple[str, ...] = ()
    #: "attention" and "feed_forward", each with its boundaries
    sublayers: Mapping[str, Sublayer]
    #: by head kind
    native_heads: Mapping[str, NativeHead] = field(default_factory=dict)
    #: the same where it is a matter of the base's config, which it is given
    configured_heads: Callable[[Any], Mapping[str, NativeHead]] | None = None
    token_types: bool
    architecture: Literal["encoder", "decoder", "seq2seq"] = "encoder"
    #: the norm stands before its branch, and the residual passes it by
    norm_first: bool = False
    #: positions start after the padding index
    positions_after_padding: bool = False
    #: the stock code takes positions and attention from us, so rows can share one stream
    packable: bool = True
    #: one layer hands the next nothing but hidden states and each runs once, so that a forward can
    #: start at any of them
    ranged: bool = True
    #: the module that follows the base's pooler where the pooler is a bare linear
    pooler_activation: str | None = None
    #: modules that have biases and run on something else than the tokens of each row
    shared_modules: tuple[str, ...] = ("pooler",)
    #: of a layer, the modules that need every token, the first of them what the layer gets, where
    #: all that follows its attention's output linear looks at each token by itself
    attention_reads: tuple[str, ...] = ()
    #: of a layer, the feed-forward's first linear and the activation of just its output
    activation: tuple[str, str] | None = None
    #: what follows the last layer
    final_norm: str | None = None
    #: a module and its method that computes a bias for all rows with linears that are sites
    slot_biases: tuple[str, str] | None = None

    def for_config(self, config: Any) -> Family:
        """Itself, with the stock heads of a base of this config."""
        if self.configured_heads is None:
            return self
        return replace(self, native_heads=self.configured_heads(config))

    @property
    def prefixes(self) -> list[str]:
        """Every attribute by which some stock model of the family has the bare one."""
        others = {head.prefix for head in self.native_heads.values() if head.prefix}
        return [self.prefix, *sorted(others)]

    @property
    def stacks(self) -> tuple[str, ...]:
        return (self.layers,) if self.decoder_layers is None else (self.layers, self.decoder_layers)

    def reads_source(self, path: str) -> bool:
        """Whether a module gets the encoder's tokens, rather than the decoder's."""
        encoder = self.layers.partition(".")[0]
        return path.startswith(f"{encoder}.") or path.endswith(self.from_encoder)
