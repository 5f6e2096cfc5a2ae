"""How a base embeds a text by itself: as sentence-transformers' files beside it say, else as is
usual for its architecture.

Reads JSON files only; no torch, no model code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import BadBase
from engine.results import BaseEmbedding

_MODULES = "modules.json"
#: the poolings of sentence-transformers that one row can answer by itself -> ours
_POOLINGS = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
#: as they were written before there was one name for all
_OLD_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def read_base_embedding(path: Path, architecture: str, max_tokens: int) -> BaseEmbedding:
    """Raises BadBase for files that cannot be read; what they ask for and the engine lacks is said
    in `problem`, since the base can still serve adapters.
    """
    if architecture == "seq2seq":
        return BaseEmbedding(
            problem="an encoder with a decoder writes text; it makes no embeddings"
        )
    if not (path / _MODULES).is_file():
        pooling = "last" if architecture == "decoder" else "mean"
        return BaseEmbedding(pooling=pooling, normalize=True, max_tokens=max_tokens)
    modules = {_kind(module): module for module in _read(path / _MODULES, list)}
    known = {"Transformer", "Pooling", "Normalize"}
    if unknown := sorted(set(modules) - known):
        return BaseEmbedding(
            problem=f"its {_MODULES} has the modules {', '.join(unknown)}; "
            f"only {', '.join(sorted(known))} are computed"
        )
    if "Pooling" not in modules:
        return BaseEmbedding(problem=f"its {_MODULES} has no Pooling module")
    pooling = _pooling(_read(path / str(modules["Pooling"].get("path")) / "config.json", dict))
    if pooling not in _POOLINGS:
        return BaseEmbedding(
            problem=f"its pooling is {pooling}; the poolings computed are {', '.join(_POOLINGS)}"
        )
    folder = path / str(modules.get("Transformer", {}).get("path", ""))
    return BaseEmbedding(
        pooling=_POOLINGS[pooling], normalize="Normalize" in modules,
        max_tokens=min(max_tokens, _longest(folder) or max_tokens), **_prompts(path),
    )  # fmt: skip


def _kind(module: Any) -> str:
    """Class names, whatever their package was called in the release that wrote the file."""
    return str(module.get("type", "")).rpartition(".")[2] if isinstance(module, dict) else "?"


def _pooling(config: dict[str, Any]) -> str:
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else mode
    if not isinstance(modes, list | tuple):
        modes = [name for flag, name in _OLD_FLAGS.items() if config.get(flag) is True] or ["mean"]
    return " with ".join(map(str, modes))


def _longest(folder: Path) -> int | None:
    file = folder / "sentence_bert_config.json"
    longest = _read(file, dict).get("max_seq_length") if file.is_file() else None
    return longest if isinstance(longest, int) and longest > 0 else None


def _prompts(path: Path) -> dict[str, Any]:
    """What is put before a text, by the name of its purpose, and which where none is named."""
    file = path / "config_sentence_transformers.json"
    config = _read(file, dict) if file.is_file() else {}
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return {}
    texts = {str(name): text for name, text in prompts.items() if isinstance(text, str)}
    usual = config.get("default_prompt_name")
    return {"prompts": texts, "default_prompt": texts.get(usual, "") if usual else ""}


def _read(file: Path, kind: type) -> Any:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadBase(f"{file.name} of the base cannot be read: {error}") from error
    if not isinstance(content, kind):
        raise BadBase(f"{file.name} of the base holds a {type(content).__name__}")
    return content
