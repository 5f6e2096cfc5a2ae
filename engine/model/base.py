"""The one frozen transformer of this process: fingerprinted, never changed, always in `eval()`.

Stock `transformers` code runs as it is; this file only calls it. Knows no slot and no adapter.

Shape letters: R rows, T tokens of all rows, L longest row, D hidden width, V words of
the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.config import EngineConfig
from engine.errors import BadAdapter
from engine.families import Family, family_of
from engine.model.batch import Batch
from engine.model.fingerprint import fingerprint
from engine.model.fused_activation import find_fusible
from engine.model.kept_tokens import make_kept_tokens
from engine.model.layer_range import LayerRange
from engine.model.loading import read_config, read_tokenizer, read_weights
from engine.model.packed_linears import pack_linears
from engine.model.precision import Precision, choose_device, choose_precision
from engine.model.relative_biases import RelativeBiases
from engine.model.source import base_path, served_base
from engine.ops.packed_attention import PACKED, KVAttention
from engine.port import Site


class Base:
    """A resident base: its model, layout, numerics and identity."""

    def __init__(self, config: EngineConfig) -> None:
        path = base_path(config.base)
        model_config = read_config(path)
        self.name, self.served = config.base, served_base(config.base, path)
        self.family: Family = family_of(model_config.model_type).for_config(model_config)
        device = choose_device(config.device)
        self.numerics: Precision = choose_precision(config.dtype, device, model_config.hidden_size)
        self.packed = config.packed and self.family.packable
        attention = PACKED if self.packed else "sdpa" if self.family.packable else "eager"
        weights = read_weights(path, model_config, self.family, self.numerics, attention)
        self.model, self.whole = weights.model, weights.whole
        #: by path; to walk down to one takes a third of the time of a load
        self.modules = dict(self.model.named_modules(remove_duplicate=False))
        self.has_pooler, self.end_ids = weights.has_pooler, weights.end_ids
        self.output = weights.output
        reading = read_tokenizer(path, self.model.config)
        self.tokenizer_json, self.max_tokens = reading.tokenizer_json, reading.max_tokens
        self.chat_templates, self.special_tokens = reading.chat_templates, reading.special_tokens
        self.fingerprint = fingerprint(path, self.tokenizer_json, self.chat_templates)
        self.layer_paths = _layer_paths(self.model, self.family)
        self.sites: dict[str, Site] = _find_sites(self.model, self.layer_paths)
        # before the range: a layer keeps tokens of what entered it
        self.kept_tokens = make_kept_tokens(self.model, self.family, self.layer_paths[-1])
        self._range = LayerRange([self.model.get_submodule(p) for p in self.layer_paths])
        self.slot_biases = _slot_biases(self.model, self.family, self.layer_paths)
        # before anything acts at the linears: an adapter adds to whichever product is used
        self._fused = find_fusible(self.model, self.family, self.layer_paths)
        fused = {self.model.get_submodule(path): each for path, each in self._fused.items()}
        pack_linears(self._linears, config.packed_bytes, fused)
        self.vocabulary_size: int = self.model.config.vocab_size
        self.pad_id: int = self.model.config.pad_token_id or 0

    @property
    def num_layers(self) -> int:
        return len(self.layer_paths)

    @property
    def hidden_size(self) -> int:
        return int(self.model.config.hidden_size)

    @property
    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @property
    def sublayers(self) -> dict[str, Site]:
        """Every sublayer output an adapter may act on, by the module that makes it."""
        return {
            path: self.sites[path]
            for layer in range(self.num_layers)
            for path in (self.sublayer(name, layer) for name in self.family.sublayers)
        }

    @property
    def boundaries(self) -> list[str]:
        """Every module at which an effect may act: linears, norms and a branch's first module."""
        biased = [
            name
            for name, module in self.model.named_modules()
            if isinstance(getattr(module, "bias", None), Tensor)
            and not name.startswith(self.family.shared_modules)
        ]
        branch = self.family.sublayers.get("feed_forward")
        paths = [
            path.format(layer=layer)
            for layer in self.layer_paths
            for path in ((branch.input, branch.norm) if branch else ())
        ]
        return list(dict.fromkeys([*self.sites, *biased, *paths]))

    @property
    def _linears(self) -> list[nn.Module]:
        """Those of the bare model and that to the vocabulary."""
        return [*self.model.modules(), *([self.output] if self.output is not None else [])]

    @property
    def model_type(self) -> str:
        return str(self.model.config.model_type)

    @property
    def dtype(self) -> torch.dtype:
        return self.numerics.dtype

    def weight(self, site: str) -> Tensor:
        weight = self.modules[site].weight
        return cast(Tensor, weight.T if self.is_transposed(site) else weight)

    def bias(self, path: str) -> Tensor | None:
        return cast(Tensor | None, getattr(self.modules.get(path), "bias", None))

    def is_transposed(self, site: str) -> bool:
        return isinstance(self.modules[site], Conv1D)

    def apply_norm(self, path: str, x: Tensor) -> Tensor:
        """As the stock norm does it, whatever acts at it."""
        norm = self.modules[path]
        return cast(Tensor, type(norm).forward(norm, x))

    def sublayer(self, name: str, layer: int) -> str:
        if name not in self.family.sublayers:
            raise BadAdapter(
                f"the {self.family.name} family has no {name} sublayer where something could attach"
            )
        return self.family.sublayers[name].output.format(layer=self.layer_paths[layer])

    def forward(
        self, batch: Batch, kv_attention: KVAttention | None = None, cache: Any = None
    ) -> Tensor:
        """The whole stock forward: final hidden states [1, T, D] packed, [R, L, D] padded.

        Cached keys and values come from `kv_attention` for packed rows, and from the stock `cache`
        for a single row of a base that cannot be packed.
        """
        attention = self._attention(batch) if cache is None else {"past_key_values": cache}
        if kv_attention is not None:
            attention["kv_attention"] = kv_attention
        return cast(Tensor, self.model(**self._inputs(batch), **attention).last_hidden_state)

    @property
    def can_generate(self) -> bool:
        """Whether it has output embeddings, so that text can be generated."""
        return self.output is not None

    def compute_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, in float32: [.., D] to [.., V]."""
        assert self.output is not None, "the base has no output embeddings"
        logits = cast(Tensor, self.output(hidden)).float()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def run_layers(
        self,
        batch: Batch,
        start: int,
        stop: int,
        hidden: Tensor | None = None,
        kept_K: Tensor | None = None,
    ) -> Tensor:
        """Layers start..stop-1 on what entered layer `start`; from 0, on the embeddings.

        Answers what enters layer `stop`, or after the last layer the final hidden states: shapes
        as of `forward`. The last layer ends with the tokens `kept_K` of a packed batch alone, if
        they are given: [1, K, D].
        """
        assert (start == 0) == (hidden is None), "a range takes hidden states unless it starts at 0"
        if start == self.num_layers:
            return cast(Tensor, hidden)
        with ExitStack() as stack:
            hidden_at_stop = stack.enter_context(self._range.only(start, stop, hidden))
            if kept_K is not None:
                assert self.kept_tokens is not None, "this base's last layer runs whole"
                stack.enter_context(self.kept_tokens.only(kept_K))
            final = self.forward(batch)
            return final if stop == self.num_layers else hidden_at_stop()

    def fuse_activations(self, acts_at: Callable[[str], bool]) -> None:
        """Linears apply the activations that follow them, wherever `acts_at` tells that nothing
        acts at them in the forward that runs.
        """
        for path, fused in self._fused.items():
            fused.allow(partial(acts_at, path))

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While this lasts another forward may run within the one that is paused."""
        parts = [self._range, self.kept_tokens, self.slot_biases]
        with ExitStack() as stack:
            for part in parts:
                if part is not None:
                    stack.enter_context(part.set_aside())
            yield

    def first_layer(self, sites: Iterable[str]) -> int:
        """Where a forward of an adapter of these sites must start; below it is the bare base."""
        if not self.family.ranged:
            return 0
        return min((self.layer_of(site) for site in sites), default=self.num_layers)

    def layer_of(self, path: str) -> int:
        """The layer of a module; what stands before the layers counts as the first one's."""
        number = path.removeprefix(f"{self.family.layers}.").partition(".")[0]
        return int(number) if path.startswith(f"{self.family.layers}.") else 0

    def pool(self, first_RD: Tensor) -> Tensor:
        """The base's own pooler on each row's first token."""
        pooled = cast(Tensor, self.model.pooler(first_RD[:, None]))
        if self.family.pooler_activation is None:
            return pooled
        return cast(Tensor, self.model.get_submodule(self.family.pooler_activation)(pooled[:, 0]))

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        positions = batch.positions
        if self.family.positions_after_padding:
            positions = positions + self.pad_id + 1
        inputs = {"input_ids": batch.ids, "position_ids": positions}
        return inputs | {"token_type_ids": batch.type_ids} if self.family.token_types else inputs

    def _attention(self, batch: Batch) -> dict[str, Any]:
        # a stock cache per forward would be kept for nobody
        cache = {} if self.family.architecture == "encoder" else {"use_cache": False}
        if batch.packed:
            return cache | {"row_lengths": batch.row_lengths}
        return cache | {"attention_mask": cast(Tensor, batch.mask_RL).long()}


def _slot_biases(
    model: nn.Module, family: Family, layer_paths: Sequence[str]
) -> RelativeBiases | None:
    if family.slot_biases is None:
        return None
    path, method = family.slot_biases
    paths = [path.format(layer=layer) for layer in layer_paths]
    return RelativeBiases({path: model.get_submodule(path) for path in paths}, method)


def _layer_paths(model: nn.Module, family: Family) -> list[str]:
    """Every layer's path, an encoder's before its decoder's."""
    return [
        f"{stack}.{index}"
        for stack in family.stacks
        for index in range(len(cast(nn.ModuleList, model.get_submodule(stack))))
    ]


def _find_sites(model: nn.Module, layer_paths: Sequence[str]) -> dict[str, Site]:
    sites = {}
    for index, layer in enumerate(layer_paths):
        for name, module in model.get_submodule(layer).named_modules():
            if isinstance(module, nn.Linear | Conv1D):
                sites[f"{layer}.{name}"] = _site(f"{layer}.{name}", index, module)
    return sites


def _site(path: str, layer: int, module: nn.Linear | Conv1D) -> Site:
    if isinstance(module, nn.Linear):
        width, height = module.in_features, module.out_features
    else:
        width, height = module.weight.shape
    return Site(name=path, layer=layer, in_features=width, out_features=height)
