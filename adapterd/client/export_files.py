"""Writes the files that an export streams. Trusts no file name of the server."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Self

from adapterd.errors import Refused, ServerFailed


class ExportFiles:
    """Writes the files of one version, one after another, into a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self.paths: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_written(error) from error
        return self

    def write(self, name: str, data: bytes) -> None:
        """Appends to the current file; a non-empty `name` opens the next one."""
        try:
            if name:
                self._open(name)
            if self._file is None:
                raise ServerFailed("the export sent bytes before a file name")
            self._file.write(data)
        except OSError as error:
            raise self._not_written(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def _not_written(self, error: OSError) -> Refused:
        path = error.filename or self._directory
        return Refused(f"{path} cannot be written: {error.strerror}.")

    def _open(self, name: str) -> None:
        if Path(name).name != name or name in (".", ".."):
            raise ServerFailed(f"the export sent the file name {name!r}, which is not a plain name")
        if self._file:
            self._file.close()
        path = self._directory / name
        self._file = path.open("wb")
        self.paths.append(path)
