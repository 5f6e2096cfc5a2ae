"""The registry's two boundaries as a page: the index of rows and the store of bytes.

Both are dumb on purpose. The rules (first version becomes production, compare-and-set, what may be
deleted) are the registry's, so that a second implementation has nothing to get wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters_registry.values import Alias, AliasEvent, Changes, Task, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Content that the store now holds."""

    sha256: str
    size: int


class Blobs(Protocol):
    """Bytes by their sha256. Once put, content never changes."""

    def put(self, source: Path) -> Blob:
        """Copy a file in, hashed as it is copied, durable on return.

        The same content again is no error.
        """

    def path(self, sha256: str, size: int) -> Path:
        """A local path of the content; its reader checks the hash.

        BlobMissing, or BlobCorrupt on another size.
        """

    def get(self, sha256: str) -> bytes:
        """The content, verified. BlobMissing or BlobCorrupt."""

    def list(self) -> Iterator[str]:
        """Every content held."""

    def delete(self, sha256: str) -> None:
        """Forget content; absent is fine."""

    def sweep(self) -> Sequence[str]:
        """Remove what dead writers left half-copied; the names."""


class Index(Protocol):
    """Rows: tasks, versions, aliases, their events, and the fences of publications.

    Every row has its tenant.
    """

    def writing(self) -> AbstractContextManager[None]:
        """All of it or nothing, one writer at a time across processes; reads see its writes."""

    def generation(self) -> int:
        """A number that changes once anyone, in any process, has written.

        Cheap: asked before every cached answer.
        """

    def find_task(self, tenant: str, name: str) -> Task | None: ...

    def list_tasks(self, tenant: str, after: str, limit: int) -> Sequence[Task]: ...

    def find_version(self, tenant: str, task: str, number: int) -> Version | None: ...

    def find_digest(self, tenant: str, task: str, digest: str) -> Version | None: ...

    def list_versions(self, tenant: str, task: str) -> Sequence[Version]: ...

    def list_lineages(self, tenant: str, text: str) -> Sequence[Version]:
        """Versions of any task with the text in their lineage, by task and number."""
        ...

    def find_alias(self, tenant: str, task: str, name: str) -> Alias | None: ...

    def find_aliased(self, tenant: str, task: str, alias: str) -> Version | None:
        """The version an alias names, in one look: between two it could be moved and deleted."""

    def list_aliases(self, tenant: str, task: str) -> Sequence[Alias]: ...

    def list_events(self, tenant: str, task: str, alias: str) -> Sequence[AliasEvent]: ...

    def next_sequence(self, tenant: str, task: str, alias: str) -> int:
        """The number of the alias's next event, however many there were."""
        ...

    def changes_since(self, sequence: int | None) -> Changes:
        """The tasks of which anyone, in any process, moved an alias or removed a version after the
        change of that sequence number. None: only the number of the newest change, as for more
        changes than are worth naming.
        """
        ...

    def is_published(self, digest: str) -> bool:
        """Whether any tenant has a version of this digest."""
        ...

    def find_fence(self, tenant: str, fence: str) -> tuple[str, int] | None: ...

    def list_contents(self, tenant: str, task: str, number: int | None) -> list[tuple[str, str]]:
        """Role and sha256 of all that is stored for a version, or for all of a task."""
        ...

    def list_referenced(self, sha256s: Iterable[str]) -> set[str]:
        """Which of these contents some version of any tenant needs."""

    def next_number(self, tenant: str, task: str, now: float) -> int:
        """Take the task's next version number, making the task if need be.

        A number is never given twice.
        """

    def add_version(self, version: Version, beside: Mapping[str, str]) -> None:
        """`beside` maps further roles to the sha256 of what is kept with the version."""
        ...

    def add_fence(self, tenant: str, fence: str, task: str, number: int) -> None: ...

    def put_alias(self, alias: Alias) -> None: ...

    def add_event(self, event: AliasEvent) -> None: ...

    def remove_alias(self, alias: Alias) -> None: ...

    def remove_version(self, tenant: str, task: str, number: int) -> None: ...

    def remove_task(self, tenant: str, name: str) -> None:
        """Versions, aliases and events too. Only its next number stays, should the name return."""

    def close(self) -> None: ...
