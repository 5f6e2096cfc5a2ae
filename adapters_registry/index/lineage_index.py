"""Every lineage of every version, and which versions were made from a dataset. Holds no rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from adapters_registry.index import rows
from adapters_registry.index.tables import LINEAGE, LINEAGE_DATASET, VERSION
from adapters_registry.manifest import canonical_json
from adapters_registry.storage.database import Database
from adapters_registry.values import Lineage, Version


class LineageIndex:
    """Over the database of a server, or of several. Its rows go with their version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, lineage: Lineage) -> None:
        """Within the transaction that publishes; the first one's document is in its version."""
        document = canonical_json(dict(lineage.document)).decode()
        row = {
            "tenant": lineage.tenant,
            "task": lineage.task,
            "number": lineage.number,
            "sequence": lineage.sequence,
            "at": lineage.at,
            "source": lineage.source,
            "actor": canonical_json(dict(lineage.actor)).decode(),
            "document": None if lineage.sequence == 1 else document,
        }
        with self._database.write() as db:
            db.execute(sa.insert(LINEAGE).values(row))
            mine = {name: row[name] for name in ("tenant", "task", "number")}
            known = sa.select(LINEAGE_DATASET.c.sha256).where(_of(LINEAGE_DATASET, mine))
            added = set(lineage.datasets) - set(db.execute(known).scalars())
            if added:
                db.execute(
                    sa.insert(LINEAGE_DATASET), [{**mine, "sha256": each} for each in sorted(added)]
                )

    def next_sequence(self, version: Version) -> int:
        """Of a version that is there: the first is its own, also where an older release published
        it, which writes no row of a lineage.
        """
        newest = sa.select(sa.func.max(LINEAGE.c.sequence)).where(_of(LINEAGE, _key(version)))
        with self._database.read() as db:
            return (db.execute(newest).scalar() or 1) + 1

    def list(self, version: Version) -> Sequence[Lineage]:
        """In the order in which the content was published."""
        query = sa.select(LINEAGE).where(_of(LINEAGE, _key(version))).order_by(LINEAGE.c.sequence)
        with self._database.read() as db:
            lineages = [_lineage(row, version) for row in db.execute(query)]
        has_first = bool(lineages) and lineages[0].sequence == 1
        return lineages if has_first else [_first_of(version), *lineages]

    def list_versions(self, tenant: str, sha256: str) -> Sequence[Version]:
        """Of all tasks, those of which a lineage names the dataset."""
        mine = (LINEAGE_DATASET.c.tenant == tenant) & (LINEAGE_DATASET.c.sha256 == sha256)
        query = sa.select(VERSION).join(LINEAGE_DATASET, _same_version(LINEAGE_DATASET)).where(mine)
        with self._database.read() as db:
            versions = [rows.version(row) for row in db.execute(query)]
            older = [rows.version(row) for row in db.execute(_without_first(tenant, sha256))]
        versions += [version for version in older if sha256 in _first_of(version).datasets]
        by_key = {(version.task, version.number): version for version in versions}
        return [version for _, version in sorted(by_key.items())]


def _without_first(tenant: str, sha256: str) -> sa.Select[Any]:
    """Versions that a release before the table of lineages published, and that may name it."""
    first = sa.exists().where(_same_version(LINEAGE), LINEAGE.c.sequence == 1)
    names_it = VERSION.c.lineage.contains(sha256, autoescape=True)
    return sa.select(VERSION).where(VERSION.c.tenant == tenant, ~first, names_it)


def _same_version(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == VERSION.c[name] for name in ("tenant", "task", "number")))


def _first_of(version: Version) -> Lineage:
    """As the version itself has it; who published it is not known."""
    return Lineage(
        tenant=version.tenant,
        task=version.task,
        number=version.number,
        sequence=1,
        at=version.created_at,
        source=version.source,
        actor={},
        document=version.lineage,
    )


def _key(version: Version) -> dict[str, Any]:
    return {"tenant": version.tenant, "task": version.task, "number": version.number}


def _of(table: sa.Table, key: dict[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in key.items()))


def _lineage(row: sa.Row[Any], version: Version) -> Lineage:
    return Lineage(
        tenant=row.tenant,
        task=row.task,
        number=row.number,
        sequence=row.sequence,
        at=row.at,
        source=row.source,
        actor=json.loads(row.actor),
        document=version.lineage if row.document is None else json.loads(row.document),
    )
