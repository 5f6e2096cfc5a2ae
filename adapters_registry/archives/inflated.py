"""The bytes inside a compressed file, counted as they come out. Knows no entry.

A few kilobytes may unpack to gigabytes, so what counts is what came out, never what a header says.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

import zstandard

from adapters_registry.errors import BadArchive, TooManyBytes

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
#: of zstd's history, which is allocated at once; its highest ordinary level asks for 8 MiB
_MOST_WINDOW_BYTES = 64 * 2**20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Inflated:
    """Reads a file through its compression, and stops at a cap."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._source = _decompress(file)

    def read(self, num_bytes: int) -> bytes:
        """At most so many bytes; none at the end."""
        with _unpacking():
            data = self._source.read(num_bytes)
        self._num_bytes += len(data)
        if self._num_bytes > self._max_bytes:
            raise TooManyBytes(f"the archive unpacks to more than {self._max_bytes} bytes")
        return data

    def read_exactly(self, num_bytes: int) -> bytes:
        parts = []
        while num_bytes:
            part = self.read(num_bytes)
            if not part:
                raise BadArchive("the archive ends in the middle of an entry: it is not whole")
            parts.append(part)
            num_bytes -= len(part)
        return b"".join(parts)


def _decompress(file: BinaryIO) -> _Readable:
    start = file.read(4)
    file.seek(0)
    if start.startswith(GZIP):
        return cast("_Readable", gzip.GzipFile(fileobj=file))
    if start == ZSTD:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES)
        return decompressor.stream_reader(file, read_across_frames=True)
    return file


@contextmanager
def _unpacking() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise BadArchive(f"the archive cannot be decompressed: {error}") from error
