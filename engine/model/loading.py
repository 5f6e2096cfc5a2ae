"""What a base's files hold: config, weights and tokenizer, out of a folder or one GGUF file.

Knows stock `transformers` loading and families' layouts; keeps nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    GgufConfig,
)

from engine.errors import BadBase
from engine.families import Family, family_of
from engine.model.precision import Precision
from engine.ops.packed_attention import register_packed_attention
from engine.text.chat_template import DEFAULT, ChatTemplate

_log = logging.getLogger(__name__)

#: a tokenizer without a length of its own says something astronomically large
_NO_LIMIT = 10**6
#: what a checkpoint of a bare model may lack: each is then not offered
_OPTIONAL = ("pooler.", "lm_head.")
_STOCK: dict[str, Any] = {
    "encoder": AutoModel, "decoder": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM,
}  # fmt: skip
_STOCK_HEADS: dict[str, Any] = {
    "classify": AutoModelForSequenceClassification, "regress": AutoModelForSequenceClassification,
    "tag": AutoModelForTokenClassification, "span": AutoModelForQuestionAnswering,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The frozen bare model, and what came with it."""

    model: Any
    #: the same inside the stock model that writes, where there is one
    whole: Any
    has_pooler: bool
    #: the linear from hidden states to the vocabulary, where the checkpoint has one
    output: nn.Module | None
    #: the tokens that end a generated text
    end_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFiles:
    """How a base reads text: its tokenizer, how many tokens a row may have, its chat templates."""

    tokenizer_json: str
    max_tokens: int
    #: by name; none where conversations mean nothing to the base
    chat_templates: Mapping[str, str]
    special_tokens: Mapping[str, str]


def read_config(path: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(**_pretrained_kwargs(path))
    except ImportError as error:
        raise _no_gguf(path) from error
    except (OSError, ValueError, KeyError) as error:
        raise BadBase(f"{path} holds no base that transformers knows: {error}") from error


def stock_model(config: Any, head: str) -> str | None:
    """The class of the stock task model with such a head, where transformers has one."""
    known = _STOCK_HEADS.get(head)
    model = known._model_mapping.get(type(config), None) if known else None
    return model.__name__ if model else None


def read_weights(
    path: Path, config: Any, family: Family, numerics: Precision, attention: str
) -> Weights:
    """`config` is what `read_config` gave: reading it out of a GGUF file again takes seconds."""
    register_packed_attention()
    stock = _STOCK[family.architecture]
    options = (
        {"quantization_config": GgufConfig(dequantize=True), "config": config}
        if path.is_file()
        else {"use_safetensors": True}
    )
    try:
        whole, report = stock.from_pretrained(
            **_pretrained_kwargs(path),
            **options,
            dtype=numerics.dtype,
            output_loading_info=True,
            attn_implementation=attention,
        )
    except ImportError as error:
        raise _no_gguf(path) from error
    except (OSError, ValueError) as error:
        raise BadBase(f"the weights in {path} cannot be read: {error}") from error
    missing = set(report["missing_keys"])
    if lacking := {key for key in missing if not key.startswith(_OPTIONAL)}:
        raise BadBase(f"{path} lacks {len(lacking)} of the base's weights, such as {min(lacking)}")
    whole.requires_grad_(requires_grad=False).eval().to(numerics.device)
    model = whole.base_model
    complete = not any(key.startswith(_OPTIONAL) for key in missing)
    return Weights(
        model=model,
        whole=whole,
        has_pooler=getattr(model, "pooler", None) is not None and complete,
        output=whole.get_output_embeddings() if complete and stock is not AutoModel else None,
        end_ids=_end_ids(whole),
    )


def read_tokenizer(path: Path, config: Any) -> TokenizerFiles:
    """Raises BadBase."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(**_pretrained_kwargs(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadBase(f"the tokenizer of {path} cannot be read: {error}") from error
    if not tokenizer.is_fast:
        raise BadBase(f"the tokenizer of {path} has no fast form, so offsets cannot be known")
    usable = _usable_positions(config)
    limit = tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else usable
    _tell_of_tokens_without_embedding(tokenizer, config.vocab_size)
    special_tokens = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    templates = _templates(tokenizer.chat_template)
    if templates:
        ChatTemplate(templates, special_tokens).check()
    return TokenizerFiles(
        tokenizer_json=tokenizer.backend_tokenizer.to_str(),
        max_tokens=min(usable, limit),
        chat_templates=templates,
        special_tokens=special_tokens,
    )


def _templates(templates: str | Mapping[str, str] | None) -> dict[str, str]:
    """By name; transformers gives a single one as it stands."""
    named = {DEFAULT: templates} if isinstance(templates, str) else templates or {}
    return {name: source for name, source in named.items() if source}


def _tell_of_tokens_without_embedding(tokenizer: Any, num_embeddings: int) -> None:
    """Texts without such tokens are read as ever; rows with one are refused."""
    beyond = sorted(
        (index, token) for token, index in tokenizer.get_vocab().items() if index >= num_embeddings
    )
    if beyond:
        _log.warning(
            "the base has %d embeddings and its tokenizer %d tokens beyond them, such as %r; "
            "rows with one are refused",
            num_embeddings,
            len(beyond),
            beyond[0][1],
            extra={"action": "base.tokens_without_embedding"},
        )


def _pretrained_kwargs(path: Path) -> dict[str, Any]:
    if path.is_file():
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return {"pretrained_model_name_or_path": path}


def _usable_positions(config: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", _NO_LIMIT))
    if family_of(config.model_type).positions_after_padding:
        positions -= config.pad_token_id + 1
    return min(positions, *_longrope_limits(config), _NO_LIMIT)


def _longrope_limits(config: Any) -> list[int]:
    """LongRoPE chooses the frequencies of a whole batch by its longest row.

    Past the original length one row would change its neighbours, so no row goes past it.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    every = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    return [
        int(part["original_max_position_embeddings"])
        for part in every
        if part.get("rope_type") == "longrope"
    ]


def _end_ids(model: Any) -> tuple[int, ...]:
    generation = getattr(model, "generation_config", None)
    ids = generation.eos_token_id if generation is not None else None
    return () if ids is None else tuple(ids) if isinstance(ids, list | tuple) else (int(ids),)


def _no_gguf(path: Path) -> BadBase:
    return BadBase(
        f"{path} is a GGUF file; reading one needs the packages gguf and accelerate, "
        "which come with adapterd[gguf]"
    )
