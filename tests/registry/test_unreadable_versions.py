"""A version that this release cannot read is set aside with a reason, and in nobody's way."""

from __future__ import annotations

import json
import logging

import pytest
import sqlalchemy as sa

from adapters_registry.errors import BadManifest, UnknownTask, UnknownVersion
from adapters_registry.index.tables import VERSION
from adapters_registry.registry import Registry
from tests.registry.build import publish


def age(registry: Registry, number: int, task: str = "mail", **columns: str) -> None:
    """As a newer release writes a version, unless told otherwise."""
    manifest = json.dumps({"schema": 2, "parts": []})
    mine = (VERSION.c.task == task) & (VERSION.c.number == number)
    with registry.state.database.write() as db:
        changed = sa.update(VERSION).where(mine).values({"manifest": manifest, **columns})
        assert db.execute(changed).rowcount


@pytest.fixture
def newer(registry: Registry) -> Registry:
    """The last of three versions of `mail` is of a newer release, and all of `other`."""
    for value in range(3):
        publish(registry, value=value)
    publish(registry, task="other", value=9)
    publish(registry, task="zebra", value=8)
    age(registry, 3)
    age(registry, 1, task="other")
    return registry


@pytest.mark.survival("G7")
def test_others_are_listed_beside_it_and_the_log_says_why(
    newer: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert [each.number for each in newer.versions("acme", "mail")] == [1, 2]
    assert "mail@3 cannot be read by this release: manifest schema 2" in caplog.text
    assert newer.task("acme", "mail").latest.number == 2


@pytest.mark.survival("G7")
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_page_of_tasks_is_full_without_those_of_which_nothing_can_be_read(
    newer: Registry, limit: int
) -> None:
    names = [task.name for task in newer.tasks("acme", limit=limit)]
    assert names == ["mail", "zebra"][:limit]


@pytest.mark.survival("G7")
def test_whoever_asks_for_it_is_told_why(newer: Registry) -> None:
    for ref in ("mail@3", "other"):
        with pytest.raises(BadManifest, match=r"cannot be read by this release: manifest schema 2"):
            newer.resolve("acme", ref)
    with pytest.raises(BadManifest, match="other@1 cannot be read"):
        newer.task("acme", "other")


@pytest.mark.parametrize("lineage", ["{", "[1", ""])
def test_a_damaged_lineage_is_a_reason_too(registry: Registry, lineage: str) -> None:
    version = publish(registry)
    age(registry, 1, manifest=json.dumps(version.manifest.document()), lineage=lineage)
    with pytest.raises(BadManifest, match="mail@1 cannot be read"):
        registry.resolve("acme", "mail@1")


@pytest.mark.survival("G7")
def test_it_is_deleted_by_its_number(newer: Registry) -> None:
    newer.delete_version("acme", "mail", 3)
    with pytest.raises(UnknownVersion):
        newer.resolve("acme", "mail@3")
    change = newer.audit.list("acme")[-1].change
    assert change.before is not None
    assert change.before["version"] == 3


@pytest.mark.survival("G7")
@pytest.mark.parametrize("task", ["mail", "other"])
def test_its_task_is_deleted_with_it(newer: Registry, task: str) -> None:
    newer.delete_task("acme", task)
    with pytest.raises(UnknownTask):
        newer.task("acme", task)


def test_a_task_without_any_version_is_not_listed_and_can_be_deleted(registry: Registry) -> None:
    publish(registry)
    registry.delete_alias("acme", "mail", "production")
    registry.delete_version("acme", "mail", 1)
    assert registry.tasks("acme") == []
    registry.delete_task("acme", "mail")
