"""The registry's answers: plain immutable values, all carrying their tenant.

They know nothing of how they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters_registry.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable published adapter of a task.

    `lineage` points at how it came to be and is not part of the digest.
    """

    tenant: str
    task: str
    number: int
    digest: str
    manifest: Manifest
    created_at: float
    source: str
    lineage: Mapping[str, Any]
    num_parameters: int
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """How a version came to be. The same content may come to be more than once; `sequence` counts
    from 1, and the first one's document is `Version.lineage`.
    """

    tenant: str
    task: str
    number: int
    sequence: int
    at: float
    source: str
    #: who published it, as `audit.actor.Actor` writes it; empty where nobody recorded it
    actor: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def datasets(self) -> list[str]:
        """The sha256 of each file that the version was made from; none of a registered one."""
        dataset = self.document.get("dataset")
        sha256s = dataset.get("sha256") if isinstance(dataset, Mapping) else None
        return list(sha256s.values()) if isinstance(sha256s, Mapping) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A version, and whether it is new: the same content is published once."""

    version: Version
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A movable name for a version."""

    tenant: str
    task: str
    name: str
    version: int
    digest: str
    moved_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasEvent:
    """One move of an alias.

    `action` is publish, promote, rollback or delete; `previous` is None for the first. A deletion's
    `version` is the one that the alias pointed to.
    """

    tenant: str
    task: str
    alias: str
    sequence: int
    action: str
    previous: int | None
    version: int
    at: float
    #: why a gate was overridden; empty where none was
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task with its newest version and all its aliases.

    A task always has a version: production names one.
    """

    tenant: str
    name: str
    created_at: float
    latest: Version
    aliases: tuple[Alias, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A version about to be published: everything but its number and date."""

    tenant: str
    task: str
    manifest: Manifest
    source: str
    lineage: Mapping[str, Any]
    num_parameters: int
    promote: bool
    hold: bool
    fence: str | None
    #: documents that are kept with the version and are no part of what it is
    beside: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Tasks of which something changed, and the sequence number of the newest change."""

    sequence: int
    #: by tenant and name; None: too many to name them, or asked without a number to start from
    tasks: Sequence[tuple[str, str]] | None
