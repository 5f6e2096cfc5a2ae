"""The one frozen transformer of this process: fingerprinted, never changed, always in `eval()`.

Stock `transformers` code runs as it is; this file only calls it. Knows no slot and no adapter.

Shape letters: R rows, T tokens of all rows, L longest row, D hidden width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from engine.attention import PACKED, register_packed_attention
from engine.config import EngineConfig
from engine.errors import BadBase
from engine.families import Family, family_of
from engine.fingerprint import fingerprint
from engine.numerics import Numerics, choose_numerics
from engine.packing import Batch
from engine.port import Site
from engine.source import base_folder

#: a tokenizer without a length of its own says something astronomically large
_NO_LIMIT = 10**6


class Base:
    """A resident base: its model, layout, numerics and identity."""

    def __init__(self, config: EngineConfig) -> None:
        folder = base_folder(config.base)
        model_config = _read_config(folder)
        self.name = config.base
        self.family: Family = family_of(model_config.model_type)
        self.numerics: Numerics = choose_numerics(config.dtype, model_config.hidden_size)
        self.packed = config.packed and self.family.packable
        self.model, self.has_pooler = _load_model(folder, self.numerics, self.packed)
        self.tokenizer_json, self.max_tokens = _read_tokenizer(folder, self.model.config)
        self.fingerprint = fingerprint(folder, self.tokenizer_json)
        self.sites: dict[str, Site] = _find_sites(self.model, self.family)
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

    @property
    def boundaries(self) -> list[str]:
        """Every module at which an effect may act: linears, norms and a branch's first module."""
        biased = [
            name
            for name, module in self.model.named_modules()
            if isinstance(getattr(module, "bias", None), Tensor)
            and name.partition(".")[0] != "pooler"
        ]
        branch = self.family.sublayers["feed_forward"]
        paths = [
            path.format(layer=self.family.layer_path(layer))
            for layer in range(self.num_layers)
            for path in (branch.input, branch.norm)
        ]
        return list(dict.fromkeys([*self.sites, *biased, *paths]))

    @property
    def model_type(self) -> str:
        return str(self.model.config.model_type)

    @property
    def dtype(self) -> torch.dtype:
        return self.numerics.dtype

    def weight(self, site: str) -> Tensor:
        weight = self.model.get_submodule(site).weight
        return cast(Tensor, weight.T if self.transposed(site) else weight)

    def bias(self, path: str) -> Tensor | None:
        return cast(Tensor | None, getattr(self.model.get_submodule(path), "bias", None))

    def transposed(self, site: str) -> bool:
        return isinstance(self.model.get_submodule(site), Conv1D)

    def normed(self, path: str, x: Tensor) -> Tensor:
        return cast(Tensor, self.model.get_submodule(path).forward(x))

    def sublayer(self, name: str, layer: int) -> str:
        return self.family.sublayers[name].output.format(layer=self.family.layer_path(layer))

    def forward(self, batch: Batch) -> Tensor:
        """The whole stock forward: final hidden states [1, T, D] packed, [R, L, D] padded."""
        return cast(
            Tensor, self.model(**self._inputs(batch), **self._attention(batch)).last_hidden_state
        )

    def embed(self, batch: Batch) -> Tensor:
        """What enters the first layer."""
        return cast(Tensor, self.model.get_submodule(self.family.embeddings)(**self._inputs(batch)))

    def run_layers(self, hidden: Tensor, row_lengths: list[int], start: int, stop: int) -> Tensor:
        """Layers start..stop-1 on a packed stream [1, T, D]."""
        for layer in list(self._layers)[start:stop]:
            out = layer(hidden, attention_mask=None, row_lengths=row_lengths)
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden

    def pool(self, first_RD: Tensor) -> Tensor:
        """The base's own pooler on each row's first token."""
        return cast(Tensor, self.model.pooler(first_RD[:, None]))

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


def _load_model(folder: Path, numerics: Numerics, packed: bool) -> tuple[Any, bool]:
    """The frozen model, and whether its checkpoint brought a pooler."""
    register_packed_attention()
    try:
        model, report = AutoModel.from_pretrained(
            folder, dtype=numerics.dtype, attn_implementation=PACKED if packed else "sdpa",
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
