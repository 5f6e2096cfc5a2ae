"""The identity of a base: a hash of everything that determines its outputs.

The precision in which it runs is not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from engine.errors import BadBase
from engine.text.chat_template import DEFAULT

#: settings of config.json that describe the file rather than the function
_VOLATILE = {
    "_name_or_path",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "architectures",
    "use_cache",
}


def fingerprint(
    path: Path, tokenizer_json: str, chat_templates: Mapping[str, str] | None = None
) -> str:
    """sha256 over the architecture's settings, every weight's bytes and the tokenizer.

    Chat templates count where there are any: they decide what a conversation reads like.

    A GGUF file holds settings and weights in one, and is hashed as it is.
    """
    whole = hashlib.sha256()
    parts = (
        [("gguf", _hash_file(path))]
        if path.is_file()
        else [("config", _hash(_settings(path))), *_weights(path)]
    )
    tokenizer = _hash(json.dumps(json.loads(tokenizer_json), sort_keys=True).encode())
    for template, source in sorted((chat_templates or {}).items()):
        # a single one has no name of its own
        name = "chat_template" if template == DEFAULT else f"chat_template {template}"
        parts.append((name, _hash(source.encode())))
    for name, part in (parts[0], ("tokenizer", tokenizer), *parts[1:]):
        whole.update(f"{len(name)}:{name}={part};".encode())
    return whole.hexdigest()


def _settings(folder: Path) -> bytes:
    config = json.loads((folder / "config.json").read_text())
    return json.dumps(
        {k: v for k, v in config.items() if k not in _VOLATILE}, sort_keys=True
    ).encode()


def _weights(folder: Path) -> list[tuple[str, str]]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadBase(f"{folder} holds no safetensors weights; pickled weights are never read")
    parts = []
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                piece = tensors.get_slice(name)
                label = f"{name}:{piece.get_dtype()}:{piece.get_shape()}"
                parts.append((label, _hash(_bytes(tensors.get_tensor(name)))))
    return sorted(parts)


def _bytes(tensor: torch.Tensor) -> bytes:
    """Raw bytes of any dtype: NumPy has no bfloat16."""
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
