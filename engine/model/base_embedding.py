"""How a base computes embeddings without an adapter: as the sentence-transformers files beside it
define, otherwise as is usual for its architecture.

Reads JSON files only; no torch, no model code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.adapter_formats.sentence_transformers import described_embedding
from engine.errors import BadAdapter, BadBase
from engine.port.messages import BaseEmbedding

_MODULES = "modules.json"


def read_base_embedding(path: Path, architecture: str, max_tokens: int) -> BaseEmbedding:
    """Raises BadBase for files that cannot be read; what they ask for and the engine lacks is said
    in `problem`, since the base can still serve adapters.
    """
    if architecture == "seq2seq":
        return BaseEmbedding(
            problem="an encoder-decoder generates text; it does not compute embeddings"
        )
    if not (path / _MODULES).is_file():
        pooling = "last" if architecture == "decoder" else "mean"
        return BaseEmbedding(pooling=pooling, normalize=True, max_tokens=max_tokens)
    modules = _read(path / _MODULES, list)
    pooling_folder = _folder(modules, "Pooling")
    if pooling_folder is None:
        return BaseEmbedding(problem=f"its {_MODULES} has no Pooling module")
    pooling_config = _read(path / pooling_folder / "config.json", dict)
    try:
        head = described_embedding(modules, pooling_config or {"pooling_mode": "mean"})
    except BadAdapter as error:
        return BaseEmbedding(problem=str(error))
    longest = _longest(path / (_folder(modules, "Transformer") or "")) or max_tokens
    return BaseEmbedding(
        pooling=head["pooling"],
        normalize=head["normalize"],
        max_tokens=min(max_tokens, longest),
        **_prompts(path),
    )


def _folder(modules: list[Any], kind: str) -> str | None:
    """Where the module of that class has its files, whatever package the class was in."""
    named = [m for m in modules if isinstance(m, dict) and str(m.get("type")).endswith(f".{kind}")]
    return str(named[0].get("path", "")) if named else None


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
