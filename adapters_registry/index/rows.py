"""Rows of the index to values and back. Knows columns, no statements."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from adapters_registry.errors import BadManifest, RegistryError, StorageError
from adapters_registry.manifest import Manifest, canonical_json
from adapters_registry.values import Alias, AliasEvent, Task, Version

_log = logging.getLogger(__name__)


def version(row: Row[Any]) -> Version:
    """The digest is computed anew: a row that rotted or was edited is never served. Raises
    BadManifest on a row that this release cannot read, StorageError on one that was changed.
    """
    try:
        return _version(row)
    except (BadManifest, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, BadManifest) else repr(error)
        raise BadManifest(
            f"version {row.task}@{row.number} cannot be read by this release: {reason}; use the "
            "release that published it, or delete the version"
        ) from error


def readable_versions(rows: Iterable[Row[Any]]) -> list[Version]:
    """Those that can be read; others are in the log with their reason, and in nobody's way."""
    readable = []
    for row in rows:
        try:
            readable.append(version(row))
        except RegistryError as error:
            extra = {"action": "version.unreadable", "tenant": row.tenant, "task": row.task}
            _log.warning("a version is left out: %s", error, extra=extra)
    return readable


def _version(row: Row[Any]) -> Version:
    manifest = Manifest.parse(row.manifest)
    if manifest.digest != row.digest:
        raise StorageError(
            f"the index holds {row.task}@{row.number} under digest {row.digest}, "
            f"its manifest has {manifest.digest}"
        )
    return Version(
        tenant=row.tenant,
        task=row.task,
        number=row.number,
        digest=row.digest,
        manifest=manifest,
        created_at=row.created_at,
        source=row.source,
        lineage=json.loads(row.lineage),
        num_parameters=row.num_parameters,
        num_bytes=row.num_bytes,
    )


def version_row(version: Version) -> dict[str, object]:
    return {
        "tenant": version.tenant,
        "task": version.task,
        "number": version.number,
        "digest": version.digest,
        "base_fingerprint": version.manifest.base["fingerprint"],
        "manifest": canonical_json(version.manifest.document()).decode(),
        "lineage": canonical_json(dict(version.lineage)).decode(),
        "source": version.source,
        "num_parameters": version.num_parameters,
        "num_bytes": version.num_bytes,
        "created_at": version.created_at,
    }


def alias(row: Row[Any]) -> Alias:
    return Alias(
        tenant=row.tenant,
        task=row.task,
        name=row.name,
        version=row.version,
        digest=row.digest,
        moved_at=row.moved_at,
    )


def alias_row(alias: Alias) -> dict[str, object]:
    return {
        "tenant": alias.tenant,
        "task": alias.task,
        "name": alias.name,
        "version": alias.version,
        "moved_at": alias.moved_at,
    }


def alias_event(row: Row[Any]) -> AliasEvent:
    return AliasEvent(**row._mapping)


def alias_event_row(event: AliasEvent) -> dict[str, object]:
    return {name: getattr(event, name) for name in AliasEvent.__dataclass_fields__}


def task(row: Row[Any], latest: Version, aliases: tuple[Alias, ...]) -> Task:
    return Task(
        tenant=row.tenant,
        name=row.name,
        created_at=row.created_at,
        latest=latest,
        aliases=aliases,
    )
