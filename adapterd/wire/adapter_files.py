"""An adapter's directory or archive as the request stream of Register. Knows no channel.

Of a directory only an adapter's own files are sent, and others are only listed by name; an archive
is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from adapterd.v1 import adapters_pb2

#: how the names of archives end
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")
_CHUNK_BYTES = 512 * 1024
_CONFIG = "adapter_config.json"
#: file names of PEFT, adapterd and AdapterHub, and the pooling files of sentence-transformers
_ADAPTER_FILES = frozenset({
    _CONFIG, "adapter_model.safetensors", "head.safetensors", "manifest.json",
    "adapter.safetensors", "model_head.safetensors", "head_config.json", "modules.json",
    "config_sentence_transformers.json",
})  # fmt: skip
_POOLING = re.compile(r"\d{1,2}_Pooling")
_MAX_LISTED_NAMES = 1000
_MAX_NAME_CHARS = 255


def register_requests(
    metadata: adapters_pb2.RegisterMetadata, adapter: Path | None
) -> Iterator[adapters_pb2.RegisterRequest]:
    """The metadata, then every file in chunks, of which the first has the file's name.

    A prompt has no files.
    """
    files, left_out = _select_files(adapter) if adapter is not None else ({}, [])
    metadata.left_out.extend(left_out[:_MAX_LISTED_NAMES])
    yield adapters_pb2.RegisterRequest(metadata=metadata)
    for name, path in files.items():
        with path.open("rb") as file:
            first = name
            while (data := file.read(_CHUNK_BYTES)) or first:
                chunk = adapters_pb2.FileChunk(name=first, data=data)
                yield adapters_pb2.RegisterRequest(chunk=chunk)
                first = ""


def is_archive_name(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _select_files(adapter: Path) -> tuple[dict[str, Path], list[str]]:
    """The files to send by name, and the names of the others; a folder is listed once."""
    if adapter.is_file():
        return {_clean_name(adapter.name): adapter}, []
    files: dict[str, Path] = {}
    left_out: list[str] = []
    for path in sorted(adapter.iterdir()):
        if not path.is_dir():
            if path.name in _ADAPTER_FILES and path.is_file():
                files[path.name] = path
            else:
                left_out.append(_clean_name(path.name))
        elif _POOLING.fullmatch(path.name) and (path / "config.json").is_file():
            files[f"{path.name}/config.json"] = path / "config.json"
        else:
            # a checkpoint's folder: the server suggests registering it instead
            inside = _CONFIG if (path / _CONFIG).is_file() else ""
            left_out.append(f"{_clean_name(path.name)}/{inside}")
    return files, left_out


def _clean_name(name: str) -> str:
    """The name with characters that the server refuses replaced."""
    cleaned = "".join(c if c.isprintable() and c not in "\\:" else "?" for c in name)
    return cleaned[:_MAX_NAME_CHARS] if cleaned.strip(".") else "?"
