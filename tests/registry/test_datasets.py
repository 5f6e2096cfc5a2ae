"""Which versions a file went into, by the sha256 of its contents."""

from __future__ import annotations

from typing import Any

import pytest

from adapters_registry.registry import Registry
from tests.registry.build import publish

SHA = "ab" * 32


def made_from(*sha256s: str) -> dict[str, Any]:
    files = {f"file {number}": sha256 for number, sha256 in enumerate(sha256s)}
    return {"dataset": {"sha256": files, "columns": {}}}


@pytest.mark.survival("F7")
def test_versions_of_any_task_are_found_by_what_they_were_made_from(registry: Registry) -> None:
    publish(registry, task="news", value=1.0, lineage=made_from("cd" * 32, SHA))
    publish(registry, task="mail", value=2.0, lineage=made_from("cd" * 32))
    publish(registry, task="mail", value=3.0, lineage=made_from(SHA))
    found = registry.versions_made_from("acme", SHA)
    assert [(each.task, each.number) for each in found] == [("mail", 2), ("news", 1)]
    registry.delete_task("acme", "news")
    assert len(registry.versions_made_from("acme", SHA)) == 1


def test_a_digest_that_a_note_names_and_another_tenant_s_versions_are_not_found(
    registry: Registry,
) -> None:
    publish(registry, lineage={"note": f"not made from {SHA}"})
    publish(registry, lineage=made_from(SHA), tenant="globex", value=2.0)
    assert registry.versions_made_from("acme", SHA) == []
