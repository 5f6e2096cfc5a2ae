"""An adapter's directory as the messages that Register takes. Knows no channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adapterd.v1 import adapters_pb2

_CHUNK_BYTES = 512 * 1024


def register_parts(
    metadata: adapters_pb2.RegisterMetadata, directory: Path | None
) -> Iterator[adapters_pb2.RegisterRequest]:
    """What Register takes: the metadata, then each file in chunks, the first naming it.

    A prompt has no files.
    """
    yield adapters_pb2.RegisterRequest(metadata=metadata)
    found = directory.iterdir() if directory is not None else ()
    for path in sorted(each for each in found if each.is_file()):
        with path.open("rb") as file:
            name = path.name
            while (data := file.read(_CHUNK_BYTES)) or name:
                chunk = adapters_pb2.FileChunk(name=name, data=data)
                yield adapters_pb2.RegisterRequest(chunk=chunk)
                name = ""
