"""What a tenant stores on a server: tasks, versions, aliases and files. Knows no wire format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.values.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Result):
    """A task and the versions its aliases point to."""

    task: str
    head: str
    latest_version: int
    aliases: Mapping[str, int]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Result):
    """One immutable, published adapter version of a task."""

    task: str
    version: int
    digest: str
    kind: str
    head: str
    labels: tuple[str, ...]
    num_parameters: int
    num_bytes: int
    created_at: float
    source: str
    aliases: tuple[str, ...]
    lineage: Mapping[str, Any] = field(default_factory=dict)
    #: of a registered version: files of its directory that are not part of it
    left_out: tuple[str, ...] = ()
    #: of a registered version: what its files leave ambiguous
    warnings: tuple[str, ...] = ()
    #: of a registration: its content was a version of the task already; nothing new was published
    already_published: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage(Result):
    """How a version came to be: one for each time that its content was published."""

    sequence: int
    at: float
    source: str
    #: who published it: `kind`, `name`, `tenant`, `request_id`, `on_behalf_of`
    actor: Mapping[str, Any]
    #: datasets, settings, software and what else is known
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent(Result):
    """One change of a tenant's state, or an attempt that was refused."""

    sequence: int
    at: float
    actor: Mapping[str, Any]
    action: str
    target: str
    task: str
    outcome: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str
    #: the sha256 of `text`, which holds all of it and the hash of the event before
    hash: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLink(Result):
    """A URL that opens the report of a version in a browser, without a key, until it expires."""

    url: str
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias(Result):
    """A movable name and the version it points to."""

    task: str
    alias: str
    version: int
    digest: str
    #: of a promotion: what callers of the alias should know
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasEvent(Result):
    """One move of an alias; a deletion has the version that it pointed to."""

    version: int
    previous_version: int | None
    at: float
    action: str
    #: why a promotion was made in spite of the verdict
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Result):
    """What was erased, or would be."""

    tenant: str
    files: Sequence[str]
    #: as `mail@3`
    versions: Sequence[str]
    aliases: Sequence[str]
    #: whose samples, reports and checkpoints go
    jobs: Sequence[str]
    #: contents, whose bytes go with the next collections unless somebody else needs them
    num_stored_files: int
    #: that were written meanwhile, and are there still; erase again
    num_rows_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Result):
    """An uploaded file."""

    id: str
    filename: str
    bytes: int
    created_at: float
    purpose: str
    #: the digest of its content
    sha256: str = ""
    #: the name under which it is stored; None if it has none
    name: str | None = None
