"""The boundary of bytes: objects by name, each written once. Knows no hash and no version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as a listing has it; `modified_at` is in seconds since 1970."""

    name: str
    size: int
    modified_at: float


class ObjectStore(Protocol):
    """Every method raises StorageError, and StorageUnavailable where trying later may help."""

    #: a directory of this machine whose files are the objects; None where they are elsewhere
    directory: Path | None

    def put(self, name: str, source: Path) -> None:
        """Store a file that is not changed meanwhile, whole and durable on return; it may be moved
        away. Raises ObjectExists where there is an object of the name.
        """
        ...

    def fetch(self, name: str, target: Path) -> None:
        """Write the object into a new file. Raises BlobMissing."""
        ...

    def size(self, name: str) -> int | None:
        """In bytes; None where there is no such object."""
        ...

    def list(self) -> Iterator[StoredObject]:
        """All objects, in no order."""
        ...

    def now(self) -> float:
        """By the clock that stamps new objects."""
        ...

    def delete(self, name: str) -> None:
        """Absent is fine."""
        ...
