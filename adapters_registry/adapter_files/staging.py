"""A staging directory: where foreign bytes land before anyone believes them.

Counts them, and leaves out what is no file of an adapter; knows no contents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from adapters_registry.adapter_files.file_names import listed_name, stored_name
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.errors import BadFileName, TooManyBytes
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.scratch import Scratch

_MOST_LISTED = 200


class Staging:
    """A private directory that removes itself when its block ends; versions have their copies."""

    def __init__(self, root: Path, limits: Limits, disk: Disk) -> None:
        self._root = root
        self._limits = limits
        self._disk = disk
        self._scratch = Scratch(root, disk)
        self._num_bytes = 0
        self._names: set[str] = set()
        self._left_out: dict[str, None] = {}
        self._num_left_out = 0

    @property
    def path(self) -> Path:
        return self._scratch.path

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def left_out(self) -> list[str]:
        """Names of what came and was not stored, a folder's once; a long list is cut."""
        listed = list(dict.fromkeys(map(listed_name, self._left_out)))
        more = self._num_left_out - len(self._left_out)
        return [*listed, f"and {more} more"] if more else listed

    @property
    def paths_left_out(self) -> list[str]:
        """The same with what is in a folder under its own name."""
        return list(self._left_out)

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write one file as it arrives, or leave it out.

        It is refused as soon as it passes a cap, not after it filled the disk.
        """
        stored = stored_name(name)
        if stored is None:
            self.leave_out(name)
            for _ in self._count_bytes(name, chunks):  # a stream of several files goes on behind it
                pass
            return
        if stored in self._names:
            raise BadFileName(f"{stored} was sent twice", name=stored)
        if len(self._names) >= self._limits.max_files:
            raise TooManyBytes(f"an adapter has at most {self._limits.max_files} files")
        self._names.add(stored)
        self._disk.write(self.path / stored, self._count_bytes(stored, chunks))

    @contextmanager
    def hold_archive(self, chunks: Iterable[bytes]) -> Iterator[Path]:
        """An archive as it arrives, beside the directory, for whoever unpacks it into there."""
        scratch = Scratch(self._root, self._disk)
        try:
            path = scratch.path / "archive"
            self._disk.write(path, self._count_bytes("the archive", chunks))
            self._num_bytes = 0  # what is in it counts, not both
            yield path
        finally:
            scratch.remove()

    def leave_out(self, name: str) -> None:
        """Note a file or `folder/` that is no part of the adapter, whether it was sent or not."""
        stored_name(name.removesuffix("/"))
        self._num_left_out += name not in self._left_out
        if self._num_left_out > self._limits.max_left_out:
            raise TooManyBytes(
                f"more than {self._limits.max_left_out} files came that are none of an adapter; "
                "send the adapter's alone"
            )
        if len(self._left_out) < _MOST_LISTED:
            self._left_out[name] = None

    def _count_bytes(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        num_bytes = 0
        for chunk in chunks:
            num_bytes += len(chunk)
            self._num_bytes += len(chunk)
            if num_bytes > self._limits.max_file_bytes:
                raise TooManyBytes(
                    f"{name} is larger than {self._limits.max_file_bytes} bytes", name=name
                )
            if self._num_bytes > self._limits.max_total_bytes:
                raise TooManyBytes(
                    f"the adapter is larger than {self._limits.max_total_bytes} bytes"
                )
            yield chunk

    def remove(self) -> None:
        self._scratch.remove()

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()
