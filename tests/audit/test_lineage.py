"""Every lineage of a version is kept, and versions are found by any dataset of any of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters_registry.audit.actor import Actor, ActorKind, acting
from adapters_registry.index.tables import LINEAGE, LINEAGE_DATASET
from adapters_registry.registry import Registry
from adapters_registry.storage import schema
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from tests.registry.build import publish

OLD, NEW = "ab" * 32, "cd" * 32


def made_from(*sha256s: str) -> dict[str, Any]:
    files = {f"file {number}": sha256 for number, sha256 in enumerate(sha256s)}
    return {"dataset": {"sha256": files, "columns": {}}}


def test_equal_content_keeps_every_lineage(registry: Registry) -> None:
    first = publish(registry, lineage=made_from(OLD), source="training")
    again = publish(registry, lineage={"note": "sent again"})
    assert again == first
    made, sent = registry.lineages("acme", "mail@1")
    assert (made.sequence, made.source, made.document) == (1, "training", made_from(OLD))
    assert (sent.sequence, sent.source, sent.document) == (2, "upload", {"note": "sent again"})
    assert registry.resolve("acme", "mail").lineage == made_from(OLD)


def test_a_lineage_says_who_published_it(registry: Registry) -> None:
    ann = Actor(kind=ActorKind.CALLER, name="k1", tenant="acme", request_id="r1")
    with acting(Actor(kind=ActorKind.WORKER, name="w1", on_behalf_of=ann)):
        publish(registry)
    [lineage] = registry.lineages("acme", "mail@1")
    assert Actor.parse(lineage.actor).on_behalf_of == ann


@pytest.mark.survival("F7")
def test_a_version_is_found_by_the_datasets_of_its_later_lineages_too(registry: Registry) -> None:
    publish(registry, lineage=made_from(OLD))
    publish(registry, lineage=made_from(NEW, OLD))
    publish(registry, lineage=made_from(NEW))
    for sha256 in (OLD, NEW):
        assert [each.number for each in registry.versions_made_from("acme", sha256)] == [1]
    assert registry.versions_made_from("globex", NEW) == []


def test_the_lineages_of_a_deleted_version_go_with_it(registry: Registry) -> None:
    publish(registry, lineage=made_from(OLD), hold=True)
    publish(registry, lineage=made_from(NEW), hold=True)
    registry.delete_version("acme", "mail", 1)
    with registry.state.database.read() as db:
        assert db.execute(sa.select(LINEAGE)).all() == []
        assert db.execute(sa.select(LINEAGE_DATASET)).all() == []
    assert registry.versions_made_from("acme", OLD) == []


def test_datasets_are_looked_up_by_an_index(registry: Registry) -> None:
    if not registry.state.database.is_sqlite:
        pytest.skip("PostgreSQL chooses by the number of rows")
    query = "SELECT number FROM lineage_dataset WHERE tenant = 'acme' AND sha256 = 'x'"
    with registry.state.database.read() as db:
        [plan] = db.execute(sa.text(f"EXPLAIN QUERY PLAN {query}")).all()
    assert "USING" in plan.detail
    assert "INDEX" in plan.detail


def test_versions_of_the_release_before_get_their_lineage_and_datasets(
    database_url: str, tmp_path: Path
) -> None:
    state = SharedState.open(tmp_path, database_url=database_url)
    publish(Registry(state), lineage=made_from(OLD, NEW), source="training")
    publish(Registry(state), value=2.0, lineage={"note": OLD})
    schema.downgrade(state.database.engine, "0003")
    with state.database.engine.begin() as db:
        text = db.execute(sa.text("SELECT lineage FROM version WHERE number = 1")).scalar_one()
    assert json.loads(text) == made_from(OLD, NEW)
    state.close()
    Database.open(database_url, migrate=True).close()
    state = SharedState.open(tmp_path, database_url=database_url)
    registry = Registry(state)
    [lineage] = registry.lineages("acme", "mail@1")
    assert (lineage.source, lineage.document, lineage.actor) == (
        "training",
        made_from(OLD, NEW),
        {},
    )
    assert [each.number for each in registry.versions_made_from("acme", OLD)] == [1]
    state.close()


def publish_as_the_release_before(registry: Registry, lineage: dict[str, Any]) -> None:
    """Which knows no table of lineages, beside servers of this one."""
    publish(registry, lineage=lineage)
    with registry.state.database.write() as db:
        db.execute(sa.delete(LINEAGE))
        db.execute(sa.delete(LINEAGE_DATASET))


@pytest.mark.survival("G7", "F7")
def test_a_version_of_the_release_before_on_this_schema_has_its_lineage(registry: Registry) -> None:
    publish_as_the_release_before(registry, made_from(OLD))
    [lineage] = registry.lineages("acme", "mail@1")
    assert (lineage.sequence, lineage.document) == (1, made_from(OLD))
    assert [each.number for each in registry.versions_made_from("acme", OLD)] == [1]
    assert registry.versions_made_from("acme", NEW) == []


def test_content_that_the_release_before_published_first_keeps_both_lineages(
    registry: Registry,
) -> None:
    publish_as_the_release_before(registry, made_from(OLD))
    publish(registry, lineage=made_from(NEW))
    documents = [each.document for each in registry.lineages("acme", "mail@1")]
    assert documents == [made_from(OLD), made_from(NEW)]
    for sha256 in (OLD, NEW):
        assert [each.number for each in registry.versions_made_from("acme", sha256)] == [1]
