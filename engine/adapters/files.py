"""The bytes of a version's files: hashed as they are read, and read as data only.

Knows no layout and no base.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from engine.errors import BadAdapter, WrongContent, read_error
from engine.port import File


def read_bytes(file: File) -> bytes:
    try:
        data = Path(file.path).read_bytes()
    except FileNotFoundError as error:
        raise WrongContent(f"the {file.role} file is gone") from error
    except OSError as error:
        raise read_error(f"the {file.role} file", error) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if file.sha256 and sha256 != file.sha256:
        raise WrongContent(
            f"the {file.role} file has sha256 {sha256[:12]}…; the version says {file.sha256[:12]}…"
        )
    return data


def read_json(data: bytes, name: str) -> dict[str, Any]:
    content = _parse_json(data, name)
    if not isinstance(content, dict):
        raise BadAdapter(f"{name} must hold a JSON object")
    return content


def read_json_list(data: bytes, name: str) -> list[Any]:
    content = _parse_json(data, name)
    if not isinstance(content, list):
        raise BadAdapter(f"{name} must hold a JSON list")
    return content


def _parse_json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise BadAdapter(f"{name} is missing or not JSON: {error}") from error


def read_tensors(data: bytes, role: str) -> dict[str, Tensor]:
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadAdapter(f"the {role} weights are not readable safetensors: {error}") from error


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    return save(
        {name: t.detach().float().contiguous() for name, t in sorted(tensors.items())},
        {"format": "pt"},
    )
