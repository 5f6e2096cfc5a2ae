"""Unpacks a stranger's archive in two passes: list and check every entry, then write the files.

Counts real bytes, believes no size. Knows no version. Runs in a process with limits, because what
decompresses was written by others as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.archives.contained_files import select_files
from adapters_registry.archives.entry import Archive, Entry
from adapters_registry.archives.inflated import GZIP, ZSTD
from adapters_registry.archives.tar_archive import TarArchive
from adapters_registry.archives.zip_archive import ZipArchive
from adapters_registry.errors import BadArchive, TooManyBytes
from adapters_registry.storage.disk import Disk, open_regular, storing

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")
_ZIP = (b"PK\3\4", b"PK\5\6")
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257


def is_archive_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def unpack(path: Path, target: Path, limits: Limits, disk: Disk) -> list[str]:
    """Writes the adapter's files into `target`; the names of what is left out.

    Raises BadArtifact. Nothing is written unless every entry of the archive was accepted.
    """
    with storing("read the archive"):
        file = open_regular(path)
    with file:
        num_bytes = file.seek(0, 2)
        most = max(limits.free_unpacked_bytes, num_bytes * limits.max_unpacking_ratio)
        most = min(most, limits.max_total_bytes)
        archive = _open(file, limits, most)
        entries = _list(archive, limits, most)
        contained = select_files(entries)
        if len(contained.left_out) > limits.max_left_out:
            raise TooManyBytes(
                f"more than {limits.max_left_out} files in the archive are none of an adapter; "
                "pack the adapter's alone"
            )
        budget = _Budget(limits, most)
        for name, content in archive.contents(contained.stored.keys()):
            stored = contained.stored[name]
            disk.write(target / stored, budget.count(stored, content))
    return contained.left_out


class _Budget:
    """The bytes that may still be written."""

    def __init__(self, limits: Limits, max_bytes: int) -> None:
        self._limits, self._max_bytes = limits, max_bytes
        self._num_bytes = 0

    def count(self, name: str, content: Iterator[bytes]) -> Iterator[bytes]:
        num_bytes = 0
        for chunk in content:
            num_bytes += len(chunk)
            self._num_bytes += len(chunk)
            if num_bytes > self._limits.max_file_bytes:
                raise TooManyBytes(
                    f"{name} is larger than {self._limits.max_file_bytes} bytes", name=name
                )
            if self._num_bytes > self._max_bytes:
                raise _too_much(self._max_bytes)
            yield chunk


def _open(file: BinaryIO, limits: Limits, max_bytes: int) -> Archive:
    """By what is in it, whatever it is called."""
    file.seek(0)
    start = file.read(_TAR_MARK_AT + len(_TAR_MARK))
    if start.startswith(_ZIP):
        return ZipArchive(file, limits.max_entries)
    if start.startswith((GZIP, ZSTD)) or start[_TAR_MARK_AT:] == _TAR_MARK:
        return TarArchive(file, max_bytes)
    raise BadArchive("the file is neither a zip nor a tar archive (plain, gzip or zstd)")


def _list(archive: Archive, limits: Limits, max_bytes: int) -> list[Entry]:
    entries = list(islice(archive.entries(), limits.max_entries + 1))
    if len(entries) > limits.max_entries:
        raise TooManyBytes(f"an archive has at most {limits.max_entries} entries")
    if not any(not entry.is_folder for entry in entries):
        raise BadArchive("the archive has no files in it")
    if sum(entry.num_bytes for entry in entries) > max_bytes:
        raise _too_much(max_bytes)
    return entries


def _too_much(max_bytes: int) -> TooManyBytes:
    return TooManyBytes(f"the archive unpacks to more than {max_bytes} bytes")
