"""An adapter's directory as the messages that Register takes. Knows no channel.

Only the files of an adapter are sent; the rest of what training tools leave is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from adapterd.v1 import adapters_pb2

_CHUNK_BYTES = 512 * 1024
_CONFIG = "adapter_config.json"
#: PEFT's names and adapterd's, AdapterHub's, and what sentence-transformers says of its pooling
_SENT = frozenset({
    _CONFIG, "adapter_model.safetensors", "head.safetensors", "manifest.json",
    "adapter.safetensors", "model_head.safetensors", "head_config.json", "modules.json",
    "config_sentence_transformers.json",
})  # fmt: skip
_POOLING = re.compile(r"\d{1,2}_Pooling")
_MOST_NAMED = 1000
_MOST_CHARACTERS = 255


def register_parts(
    metadata: adapters_pb2.RegisterMetadata, directory: Path | None
) -> Iterator[adapters_pb2.RegisterRequest]:
    """What Register takes: the metadata, then each file in chunks, the first naming it.

    A prompt has no files.
    """
    sent, left_out = _sorted_out(directory) if directory is not None else ({}, [])
    metadata.left_out.extend(left_out[:_MOST_NAMED])
    yield adapters_pb2.RegisterRequest(metadata=metadata)
    for name, path in sent.items():
        with path.open("rb") as file:
            first = name
            while (data := file.read(_CHUNK_BYTES)) or first:
                chunk = adapters_pb2.FileChunk(name=first, data=data)
                yield adapters_pb2.RegisterRequest(chunk=chunk)
                first = ""


def _sorted_out(directory: Path) -> tuple[dict[str, Path], list[str]]:
    """What is sent, by name, and the names of the rest; a folder is named once."""
    sent: dict[str, Path] = {}
    left_out: list[str] = []
    for path in sorted(directory.iterdir()):
        if not path.is_dir():
            if path.name in _SENT and path.is_file():
                sent[path.name] = path
            else:
                left_out.append(_printable(path.name))
        elif _POOLING.fullmatch(path.name) and (path / "config.json").is_file():
            sent[f"{path.name}/config.json"] = path / "config.json"
        else:
            # a checkpoint's folder: the server says that this is the one to register
            inside = _CONFIG if (path / _CONFIG).is_file() else ""
            left_out.append(f"{_printable(path.name)}/{inside}")
    return sent, left_out


def _printable(name: str) -> str:
    """As the server takes a name, whatever characters the file has in it."""
    shown = "".join(c if c.isprintable() and c not in "\\:" else "?" for c in name)
    return shown[:_MOST_CHARACTERS] if shown.strip(".") else "?"
