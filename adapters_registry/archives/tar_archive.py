"""Tar archives, plain or compressed, read header by header. Knows nothing of what is stored.

Python's own reader takes a broken header for the end and a long header into memory; this one takes
neither: what is not understood is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Set
from dataclasses import replace
from typing import BinaryIO

from adapters_registry.archives.entry import Entry
from adapters_registry.archives.inflated import Inflated
from adapters_registry.errors import BadArchive

_BLOCK = tarfile.BLOCKSIZE
_CHUNK_BYTES = 1 << 20
_FILES, _FOLDER = (tarfile.REGTYPE, tarfile.AREGTYPE), tarfile.DIRTYPE
_LONG_NAME, _PAX, _GLOBAL_PAX = tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE
_MOST_HEADER_BYTES = 64 * 1024
_NAME_FIELD = slice(0, 100)
#: what the other types are called
_REFUSED = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class TarArchive:
    """One tar archive in an open file."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        """`max_bytes` is what all of it may unpack to."""
        self._file, self._max_bytes = file, max_bytes

    def entries(self) -> Iterator[Entry]:
        for entry, content in self._members():
            yield entry
            for _ in content:  # counted while it is skipped
                pass

    def contents(self, names: Set[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        for entry, content in self._members():
            if entry.name in names and not entry.is_folder:
                yield entry.name, content
            for _ in content:
                pass

    def _members(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        self._file.seek(0)
        source = Inflated(self._file, self._max_bytes)
        name: str | None = None
        while any(block := source.read_exactly(_BLOCK)):
            header = _parse_header(block)
            if header.type == _LONG_NAME:
                name = _decode(_read_small(source, header).removesuffix(b"\0"))
            elif header.type in (_PAX, _GLOBAL_PAX):
                name = _pax_name(_read_small(source, header), header.type) or name
            else:
                entry = _entry_of(header)
                yield (
                    replace(entry, name=entry.name if name is None else name.rstrip("/")),
                    (_read_content(source, entry.num_bytes)),
                )
                name = None
        _check_end(source)


def _parse_header(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise BadArchive(f"a header of the tar archive cannot be read: {error}") from error
    _, _, behind = block[_NAME_FIELD].partition(b"\0")
    if any(behind):
        raise BadArchive(f"the name {header.name[:80]!r} in the archive goes on behind a NUL")
    if header.size < 0:
        raise BadArchive(f"{header.name[:80]!r} in the archive has {header.size} bytes")
    return header


def _entry_of(header: tarfile.TarInfo) -> Entry:
    if header.type in _FILES:
        return Entry(name=header.name, num_bytes=header.size)
    if header.type == _FOLDER and not header.size:
        return Entry(name=header.name, num_bytes=0, is_folder=True)
    kind = _REFUSED.get(header.type, f"of the type {header.type!r}")
    raise BadArchive(
        f"{header.name[:80]!r} in the archive is {kind}; only files and folders may be in it"
    )


def _read_small(source: Inflated, header: tarfile.TarInfo) -> bytes:
    if header.size > _MOST_HEADER_BYTES:
        raise BadArchive(
            f"a header of the tar archive has {header.size} bytes; the limit is "
            f"{_MOST_HEADER_BYTES}"
        )
    return b"".join(_read_content(source, header.size))


def _read_content(source: Inflated, num_bytes: int) -> Iterator[bytes]:
    padding = -num_bytes % _BLOCK
    while num_bytes:
        chunk = source.read_exactly(min(num_bytes, _CHUNK_BYTES))
        num_bytes -= len(chunk)
        yield chunk
    source.read_exactly(padding)


def _pax_name(records: bytes, kind: bytes) -> str | None:
    """The name in extended headers. Raises BadArchive for what would change how bytes are read."""
    name = None
    while records:
        length, _, rest = records.partition(b" ")
        if not length.isdigit() or len(length) > 6 or not len(length) + 1 < int(length):
            raise BadArchive("an extended header of the tar archive cannot be read")
        record, records = rest[: int(length) - len(length) - 1], records[int(length) :]
        key, separator, value = record.partition(b"=")
        if not separator or not value.endswith(b"\n"):
            raise BadArchive("an extended header of the tar archive cannot be read")
        if key in (b"size", b"linkpath") or key.startswith(b"GNU.sparse"):
            raise BadArchive(f"the tar archive sets {_decode(key)!r}, which no adapter needs")
        if key == b"path":
            if kind == _GLOBAL_PAX:
                raise BadArchive("the tar archive names all of its entries alike")
            name = _decode(value[:-1])
    return name


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _check_end(source: Inflated) -> None:
    """Two empty blocks and nothing behind them, or another reader sees another archive."""
    source.read_exactly(_BLOCK)
    while rest := source.read(_CHUNK_BYTES):
        if any(rest):
            raise BadArchive("the tar archive has bytes behind its end")
