"""The registry in memory: both ports without a database, under the same contract tests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.port import Blob
from adapters_registry.registry import Registry
from adapters_registry.storage.disk import open_regular
from adapters_registry.values import Alias, AliasEvent, Changes, Task, Version

_TaskKey = tuple[str, str]


def memory_registry(directory: Path) -> Registry:
    """A registry that forgets everything; only files staged or asked for touch the directory."""
    return Registry(MemoryIndex(), MemoryBlobs(directory / "blobs"), directory / "staging")


@dataclass(slots=True)
class _Rows:
    """Insertion order is kept, and is the order of numbers and of events."""

    numbers: dict[_TaskKey, int] = field(default_factory=dict)
    created: dict[_TaskKey, float] = field(default_factory=dict)
    versions: dict[tuple[str, str, int], Version] = field(default_factory=dict)
    aliases: dict[tuple[str, str, str], Alias] = field(default_factory=dict)
    events: dict[tuple[str, str, str, int], AliasEvent] = field(default_factory=dict)
    fences: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    contents: dict[tuple[str, str, int], dict[str, str]] = field(default_factory=dict)

    def copy(self) -> _Rows:
        return _Rows(*(getattr(self, column.name).copy() for column in fields(self)))


class MemoryIndex:
    """The port `Index` over dictionaries.

    A transaction works on the rows and puts a copy back if it fails.
    """

    def __init__(self) -> None:
        self._rows = _Rows()
        self._lock = threading.RLock()
        self._depth = 0
        self._generation = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._lock:
            before = self._rows.copy()
            self._depth += 1
            try:
                yield
            except BaseException:
                self._rows = before
                raise
            finally:
                self._depth -= 1
                self._generation += self._depth == 0

    def generation(self) -> int:
        with self._lock:
            return self._generation

    def close(self) -> None:
        return None

    # ------------------------------------------------------------ reads

    def find_task(self, tenant: str, name: str) -> Task | None:
        with self._lock:
            if (tenant, name) not in self._rows.created:
                return None
            return Task(
                tenant=tenant,
                name=name,
                created_at=self._rows.created[tenant, name],
                latest=self.list_versions(tenant, name)[-1],
                aliases=tuple(self.list_aliases(tenant, name)),
            )

    def list_tasks(self, tenant: str, after: str, limit: int) -> Sequence[Task]:
        with self._lock:
            names = sorted(name for owner, name in self._rows.created if owner == tenant)
            tasks = [self.find_task(tenant, name) for name in names if name > after]
            return [task for task in tasks if task is not None][:limit]

    def find_version(self, tenant: str, task: str, number: int) -> Version | None:
        with self._lock:
            return self._rows.versions.get((tenant, task, number))

    def find_digest(self, tenant: str, task: str, digest: str) -> Version | None:
        versions = self.list_versions(tenant, task)
        return next((version for version in versions if version.digest == digest), None)

    def list_versions(self, tenant: str, task: str) -> Sequence[Version]:
        with self._lock:
            rows = self._rows.versions.values()
            return [row for row in rows if (row.tenant, row.task) == (tenant, task)]

    def list_lineages(self, tenant: str, text: str) -> Sequence[Version]:
        with self._lock:
            mine = [row for row in self._rows.versions.values() if row.tenant == tenant]
            matches = [row for row in mine if text in str(row.lineage)]
            return sorted(matches, key=lambda row: (row.task, row.number))

    def find_alias(self, tenant: str, task: str, name: str) -> Alias | None:
        with self._lock:
            return self._rows.aliases.get((tenant, task, name))

    def find_aliased(self, tenant: str, task: str, alias: str) -> Version | None:
        with self._lock:
            record = self.find_alias(tenant, task, alias)
            return self.find_version(tenant, task, record.version) if record else None

    def list_aliases(self, tenant: str, task: str) -> Sequence[Alias]:
        with self._lock:
            rows = self._rows.aliases.values()
            mine = [row for row in rows if (row.tenant, row.task) == (tenant, task)]
            return sorted(mine, key=lambda row: row.name)

    def list_events(self, tenant: str, task: str, alias: str) -> Sequence[AliasEvent]:
        with self._lock:
            rows = self._rows.events.values()
            return [r for r in rows if (r.tenant, r.task, r.alias) == (tenant, task, alias)]

    def next_sequence(self, tenant: str, task: str, alias: str) -> int:
        return len(self.list_events(tenant, task, alias)) + 1

    def changes_since(self, sequence: int | None) -> Changes:
        with self._lock:  # of any task that ever was: it counts nobody's changes
            everything = list(self._rows.numbers) if sequence is not None else None
            return Changes(sequence=self._generation, tasks=everything)

    def is_published(self, digest: str) -> bool:
        return any(version.digest == digest for version in self._rows.versions.values())

    def find_fence(self, tenant: str, fence: str) -> tuple[str, int] | None:
        with self._lock:
            return self._rows.fences.get((tenant, fence))

    def list_referenced(self, sha256s: Iterable[str]) -> set[str]:
        with self._lock:
            rows = self._rows.contents.values()
            return {sha256 for row in rows for sha256 in row.values()} & set(sha256s)

    def list_contents(self, tenant: str, task: str, number: int | None) -> list[tuple[str, str]]:
        with self._lock:
            return [
                pair
                for key, row in self._rows.contents.items()
                if key[:2] == (tenant, task) and number in (None, key[2])
                for pair in row.items()
            ]

    # ------------------------------------------------------------ writes

    def next_number(self, tenant: str, task: str, now: float) -> int:
        with self.writing():
            number = self._rows.numbers.get((tenant, task), 0) + 1
            self._rows.numbers[tenant, task] = number
            self._rows.created.setdefault((tenant, task), now)
            return number

    def add_version(self, version: Version, beside: Mapping[str, str]) -> None:
        key = (version.tenant, version.task, version.number)
        files = {file.role: file.sha256 for file in version.manifest.files}
        with self.writing():
            self._rows.versions[key] = version
            self._rows.contents[key] = {**files, **beside}

    def add_fence(self, tenant: str, fence: str, task: str, number: int) -> None:
        with self.writing():
            self._rows.fences[tenant, fence] = (task, number)

    def put_alias(self, alias: Alias) -> None:
        with self.writing():
            self._rows.aliases[alias.tenant, alias.task, alias.name] = alias

    def add_event(self, event: AliasEvent) -> None:
        with self.writing():
            self._rows.events[event.tenant, event.task, event.alias, event.sequence] = event

    def remove_alias(self, alias: Alias) -> None:
        with self.writing():
            self._rows.aliases.pop((alias.tenant, alias.task, alias.name), None)

    def remove_version(self, tenant: str, task: str, number: int) -> None:
        with self.writing():
            self._rows.versions.pop((tenant, task, number), None)
            self._rows.contents.pop((tenant, task, number), None)

    def remove_task(self, tenant: str, name: str) -> None:
        with self.writing():
            self._rows.created.pop((tenant, name), None)
            rows: tuple[dict[Any, Any], ...] = (
                self._rows.versions,
                self._rows.contents,
                self._rows.aliases,
                self._rows.events,
            )
            for table in rows:
                for key in [key for key in table if key[:2] == (tenant, name)]:
                    del table[key]


class MemoryBlobs:
    """The port `Blobs` over a dictionary.

    Content is written to the directory only when someone asks for its path.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._contents: dict[str, bytes] = {}

    def put(self, source: Path) -> Blob:
        with open_regular(source) as file:
            content = file.read()
        sha256 = hashlib.sha256(content).hexdigest()
        self._contents[sha256] = content
        return Blob(sha256=sha256, size=len(content))

    def path(self, sha256: str, size: int) -> Path:
        content = self.get(sha256)
        if len(content) != size:
            raise BlobCorrupt(f"stored file {sha256} has {len(content)} bytes, not {size}")
        path = self._directory / sha256
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return path

    def get(self, sha256: str) -> bytes:
        if sha256 not in self._contents:
            raise BlobMissing(f"stored file {sha256} is gone", sha256=sha256)
        return self._contents[sha256]

    def list(self) -> Iterator[str]:
        return iter(sorted(self._contents))

    def delete(self, sha256: str) -> None:
        self._contents.pop(sha256, None)
        (self._directory / sha256).unlink(missing_ok=True)

    def sweep(self) -> Sequence[str]:
        return []
