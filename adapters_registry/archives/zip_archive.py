"""Zip archives, whose directory is checked against the file before any entry is opened.

Knows nothing of what is stored. Entries that share bytes, or of which the directory and the entry
itself differ, are how small archives unpack to huge ones and how two readers see two archives.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Set
from operator import attrgetter
from typing import BinaryIO

from adapters_registry.archives.entry import Entry
from adapters_registry.errors import BadArchive, TooManyBytes

_CHUNK_BYTES = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_LOCAL_BYTES = 30
#: the record at the end: its mark, numbers of disks and entries, the directory's size and place
_END = struct.Struct("<4s4H2LH")
_END_MARK = b"PK\5\6"
#: before it, in zip64, where another record with larger numbers lies
_LOCATOR_MARK, _LOCATOR_BYTES = b"PK\6\7", 20
_UNIX = 3
#: of an entry in the directory, with a name of 1,024 bytes and some extra fields
_MOST_DIRECTORY_BYTES = 2048


class ZipArchive:
    """One zip archive in an open file."""

    def __init__(self, file: BinaryIO, max_entries: int) -> None:
        self._file, self._max_entries = file, max_entries

    def entries(self) -> Iterator[Entry]:
        with self._open() as archive:
            for info in archive.infolist():
                yield _entry_of(info)

    def contents(self, names: Set[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        with self._open() as archive:
            for info in archive.infolist():
                if info.filename in names and not info.is_dir():
                    yield info.filename, _read_content(archive, info)

    def _open(self) -> zipfile.ZipFile:
        num_entries = _check_directory(self._file, self._max_entries)
        try:
            archive = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise BadArchive(f"the zip archive cannot be read: {error}") from error
        infos = archive.infolist()
        if len(infos) != num_entries:
            raise BadArchive(
                f"the zip archive says that it has {num_entries} entries and has {len(infos)}"
            )
        _check_places(infos, archive.start_dir)
        return archive


def _check_directory(file: BinaryIO, max_entries: int) -> int:
    """The number of entries, before the directory is read, all of which is in memory then."""
    num_bytes = file.seek(0, 2)
    file.seek(max(0, num_bytes - _END.size - _LOCATOR_BYTES))
    end = file.read(_END.size + _LOCATOR_BYTES)
    record = end[-_END.size :]
    if len(record) < _END.size or not record.startswith(_END_MARK):
        raise BadArchive(
            "the zip archive does not end with its directory: it is not whole, or has a comment"
        )
    if len(end) > _END.size and end.startswith(_LOCATOR_MARK):
        # `zipfile` would believe the record that it leads to, with any number of entries
        raise BadArchive(
            "the zip archive has the zip64 form, which is for more than 65,535 entries or 4 GiB; "
            "send a tar archive"
        )
    _, disk, first_disk, here, num_entries, directory, start, _ = _END.unpack(record)
    if disk or first_disk or here != num_entries:
        raise BadArchive("the zip archive is one part of several; send it as one file")
    if num_entries > max_entries or directory > max_entries * _MOST_DIRECTORY_BYTES:
        raise TooManyBytes(f"an archive has at most {max_entries} entries")
    if start + directory != num_bytes - _END.size:
        raise BadArchive("the zip archive's directory is not where it says, or bytes were added")
    return int(num_entries)


def _check_places(infos: list[zipfile.ZipInfo], end: int) -> None:
    """No two entries share bytes, and the first begins where the file does."""
    placed = sorted(infos, key=attrgetter("header_offset"))
    starts = [info.header_offset for info in placed]
    if starts and starts[0]:
        raise BadArchive("the zip archive has bytes before its first entry")
    for info, limit in zip(placed, [*starts[1:], end], strict=False):
        if info.header_offset + _LOCAL_BYTES + len(info.filename) + info.compress_size > limit:
            raise BadArchive(f"{info.filename[:80]!r} shares its bytes with another entry")


def _entry_of(info: zipfile.ZipInfo) -> Entry:
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(
            f"{name[:80]!r} in the archive is a link, a device or a FIFO; only files and folders "
            "may be in it"
        )
    if info.flag_bits & _ENCRYPTED:
        raise BadArchive(f"{name[:80]!r} in the archive is encrypted")
    if info.compress_type not in _METHODS:
        raise BadArchive(
            f"{name[:80]!r} in the archive is compressed by method {info.compress_type}; stored "
            "and deflated entries are read"
        )
    is_folder = name.endswith("/")
    if is_folder and info.file_size:
        raise BadArchive(f"{name[:80]!r} in the archive is a folder with bytes of its own")
    return Entry(name=name.removesuffix("/"), num_bytes=info.file_size, is_folder=is_folder)


def _read_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes that the directory says; their checksum shows whether more would come."""
    num_bytes = 0
    try:
        with archive.open(info) as file:
            while chunk := file.read(_CHUNK_BYTES):
                num_bytes += len(chunk)
                yield chunk
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
        raise BadArchive(f"{info.filename[:80]!r} in the archive cannot be read: {error}") from None
    if num_bytes != info.file_size:
        raise BadArchive(
            f"{info.filename[:80]!r} in the archive says that it has {info.file_size} bytes and "
            f"has {num_bytes}"
        )
