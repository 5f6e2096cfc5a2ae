"""The one frozen transformer of this process: fingerprinted, never changed, always in `eval()`.

Stock `transformers` code runs as it is; this file only calls it. Knows no slot and no adapter.

Shape letters: R rows, T tokens of all rows, L longest row, D hidden width.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from engine.attention import PACKED, register_packed_attention
from engine.config import EngineConfig
from engine.errors import BadBase
from engine.families import Family, family_of
from engine.fingerprint import fingerprint
from engine.layer_range import LayerRange
from engine.numerics import Numerics, choose_numerics
from engine.packing import Batch
from engine.port import Site
from engine.slot_biases import SlotBiases
from engine.source import base_folder

#: a tokenizer without a length of its own says something astronomically large
_NO_LIMIT = 10**6


class Base:
    """A resident base: its model, layout, numerics and identity."""

    def __init__(self, config: EngineConfig) -> None:
        folder = base_folder(config.base)
        model_config = _read_config(folder)
        self.name = config.base
        self.family: Family = family_of(model_config.model_type).configured(model_config)
        self.numerics: Numerics = choose_numerics(config.dtype, model_config.hidden_size)
        self.packed = config.packed and self.family.packable
        attention = PACKED if self.packed else "sdpa" if self.family.packable else "eager"
        self.model, self.has_pooler = _load_model(folder, self.numerics, attention)
        self.tokenizer_json, self.max_tokens = _read_tokenizer(folder, self.model.config)
        self.fingerprint = fingerprint(folder, self.tokenizer_json)
        self.sites: dict[str, Site] = _find_sites(self.model, self.family)
        self._range = LayerRange(list(self._layers))
        self.slot_biases = _slot_biases(self.model, self.family, self.num_layers)
        self.vocabulary_size: int = self.model.config.vocab_size
        self.pad_id: int = self.model.config.pad_token_id or 0

    @property
    def num_layers(self) -> int:
        return len(self._layers)

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

    def sublayer(self, name: str, layer: int) -> str:
        return self.family.sublayers[name].output.format(layer=self.family.layer_path(layer))

    def forward(self, batch: Batch) -> Tensor:
        """The whole stock forward: final hidden states [1, T, D] packed, [R, L, D] padded."""
        return cast(
            Tensor, self.model(**self._inputs(batch), **self._attention(batch)).last_hidden_state
        )

    def run(self, batch: Batch, start: int, stop: int, hidden: Tensor | None = None) -> Tensor:
        """Layers start..stop-1 on what entered layer `start`; from 0, on the embeddings.

        Answers what enters layer `stop`, or after the last layer the final hidden states: shapes
        as of `forward`.
        """
        assert (start == 0) == (hidden is None), "a range takes hidden states unless it starts at 0"
        if start == self.num_layers:
            return cast(Tensor, hidden)
        with self._range.only(start, stop, hidden) as left_at_stop:
            final = self.forward(batch)
            return final if stop == self.num_layers else left_at_stop()

    def first_layer(self, sites: Iterable[str]) -> int:
        """Where a forward of an adapter of these sites must start; below it is the bare base."""
        if not self.family.ranged:
            return 0
        return min((self.sites[site].layer for site in sites), default=self.num_layers)

    def pool(self, first_RD: Tensor) -> Tensor:
        """The base's own pooler on each row's first token."""
        pooled = cast(Tensor, self.model.pooler(first_RD[:, None]))
        if self.family.pooler_activation is None:
            return pooled
        return cast(Tensor, self.model.get_submodule(self.family.pooler_activation)(pooled[:, 0]))

    @property
    def _layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.model.get_submodule(self.family.layers))

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        positions = batch.positions
        if self.family.positions_after_padding:
            positions = positions + self.pad_id + 1
        inputs = {"input_ids": batch.ids, "position_ids": positions}
        return inputs | {"token_type_ids": batch.type_ids} if self.family.token_types else inputs

    def _attention(self, batch: Batch) -> dict[str, Any]:
        if batch.packed:
            return {"row_lengths": batch.lengths}
        return {"attention_mask": cast(Tensor, batch.mask_RL).long()}


def _read_config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise BadBase(f"{folder} holds no base that transformers knows: {error}") from error


def _load_model(folder: Path, numerics: Numerics, attention: str) -> tuple[Any, bool]:
    """The frozen model, and whether its checkpoint brought a pooler."""
    register_packed_attention()
    try:
        model, report = AutoModel.from_pretrained(
            folder, dtype=numerics.dtype, attn_implementation=attention,
            output_loading_info=True, use_safetensors=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise BadBase(f"the weights in {folder} cannot be read: {error}") from error
    missing = {key for key in report["missing_keys"] if not key.startswith("pooler.")}
    if missing:
        raise BadBase(
            f"{folder} lacks {len(missing)} of the base's weights, such as {min(missing)}"
        )
    model.requires_grad_(requires_grad=False).eval().to(numerics.device)
    has_pooler = getattr(model, "pooler", None) is not None and not any(
        key.startswith("pooler.") for key in report["missing_keys"]
    )
    return model, has_pooler


def _read_tokenizer(folder: Path, config: Any) -> tuple[str, int]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.is_fast:
        raise BadBase(f"the tokenizer of {folder} has no fast form, so offsets cannot be known")
    positions = getattr(config, "max_position_embeddings", _NO_LIMIT)
    after_padding = family_of(config.model_type).positions_after_padding
    usable = positions - (config.pad_token_id + 1 if after_padding else 0)
    limit = tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else usable
    return tokenizer.backend_tokenizer.to_str(), min(usable, limit)


def _slot_biases(model: nn.Module, family: Family, num_layers: int) -> SlotBiases | None:
    if family.slot_biases is None:
        return None
    path, method = family.slot_biases
    paths = [path.format(layer=family.layer_path(index)) for index in range(num_layers)]
    return SlotBiases([model.get_submodule(path) for path in paths], method)


def _find_sites(model: nn.Module, family: Family) -> dict[str, Site]:
    sites = {}
    for index, layer in enumerate(cast(nn.ModuleList, model.get_submodule(family.layers))):
        for name, module in layer.named_modules():
            if isinstance(module, nn.Linear):
                path = f"{family.layer_path(index)}.{name}"
                sites[path] = Site(
                    name=path,
                    layer=index,
                    in_features=module.in_features,
                    out_features=module.out_features,
                )
    return sites
