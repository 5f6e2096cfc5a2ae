"""The files of one job by records and paths, as a child process has them. Knows no store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainer.errors import UnknownFile
from trainer.jobs.values import FileRecord


class ReadableFiles(Protocol):
    """Files by id, each seen by its own tenant only."""

    def get(self, tenant: str, file_id: str) -> FileRecord:
        """Raises UnknownFile."""
        ...

    def read(self, tenant: str, file_id: str) -> bytes:
        """Raises UnknownFile."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFiles:
    """`paths` say where the bytes of each record are."""

    records: Mapping[str, FileRecord]
    paths: Mapping[str, Path]

    def get(self, tenant: str, file_id: str) -> FileRecord:
        record = self.records.get(file_id)
        if record is None or record.tenant != tenant:
            raise UnknownFile(f"There is no file {file_id!r}.")
        return record

    def read(self, tenant: str, file_id: str) -> bytes:
        try:
            return self.paths[self.get(tenant, file_id).id].read_bytes()
        except FileNotFoundError:
            raise UnknownFile(
                f"The content of the file {file_id!r} is missing on the server; upload it again."
            ) from None
