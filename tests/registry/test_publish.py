from __future__ import annotations

import pytest

from adapters_registry.errors import (
    BadManifest,
    BadName,
    FenceSpent,
    MissingFile,
    UnknownAlias,
    UnknownTask,
    UnknownVersion,
)
from adapters_registry.ref import Ref
from adapters_registry.registry import Registry
from tests.registry.build import FILES, publish


def test_the_first_version_of_a_task_becomes_production(registry: Registry) -> None:
    version = publish(registry)
    assert version.number == 1
    assert registry.resolve("acme", "mail") == version


def test_a_later_version_does_not_move_production(registry: Registry) -> None:
    first, second = publish(registry, value=1), publish(registry, value=2)
    assert second.number == 2
    assert registry.resolve("acme", "mail") == first
    assert registry.resolve("acme", "mail@2") == second


def test_a_later_version_becomes_production_when_asked(registry: Registry) -> None:
    publish(registry, value=1)
    second = publish(registry, value=2, promote=True)
    assert registry.resolve("acme", "mail@production") == second


@pytest.mark.survival("B11")
def test_the_same_content_again_is_the_same_version(registry: Registry) -> None:
    first = publish(registry, value=1)
    publish(registry, value=2)
    assert publish(registry, value=1) == first
    assert [version.number for version in registry.versions("acme", "mail")] == [1, 2]


def test_the_same_content_again_can_be_promoted(registry: Registry) -> None:
    publish(registry, value=1)
    second = publish(registry, value=2)
    publish(registry, value=2, promote=True)
    assert registry.resolve("acme", "mail") == second


def test_the_same_content_for_another_base_is_another_version(registry: Registry) -> None:
    first = publish(registry)
    second = publish(registry, base={"fingerprint": "base-2", "name": "toy"})
    assert (second.number, second.digest != first.digest) == (2, True)


def test_a_version_records_the_base_it_was_made_for(registry: Registry) -> None:
    publish(registry)
    assert registry.resolve("acme", "mail").manifest.base == {
        "fingerprint": "base-1",
        "name": "toy",
    }


@pytest.mark.survival("E2")
def test_other_bytes_under_the_same_task_leave_old_answers_alone(registry: Registry) -> None:
    first = publish(registry, value=1)
    before = [path.read_bytes() for _, path, _ in registry.files(first)]
    publish(registry, value=2, promote=True)
    assert [path.read_bytes() for _, path, _ in registry.files(first)] == before


@pytest.mark.survival("F4")
def test_a_fence_publishes_once(registry: Registry) -> None:
    first = publish(registry, value=1, fence="job-1")
    again = publish(registry, value=2, fence="job-1", promote=True)
    assert again == first
    assert len(registry.versions("acme", "mail")) == 1


def test_a_publication_that_is_not_confirmed_leaves_everything_as_it_was(
    registry: Registry,
) -> None:
    def refuse() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        publish(registry, fence="job-1", confirm=refuse)
    assert registry.tasks("acme") == []
    assert publish(registry, fence="job-1", confirm=lambda: None).number == 1


def test_a_fence_of_a_deleted_version_publishes_nothing(registry: Registry) -> None:
    publish(registry, value=1)
    publish(registry, value=2, fence="job-1")
    registry.delete_version("acme", "mail", 2)
    with pytest.raises(FenceSpent, match="mail@2"):
        publish(registry, value=2, fence="job-1")


def test_fences_of_two_tenants_are_apart(registry: Registry) -> None:
    publish(registry, fence="job-1")
    assert publish(registry, tenant="other", fence="job-1").tenant == "other"


@pytest.mark.survival("A18")
def test_files_are_named_by_role_and_content(registry: Registry) -> None:
    version = publish(registry)
    files = {role: (path.read_bytes(), sha256) for role, path, sha256 in registry.files(version)}
    assert set(files) == {"adapter", "config"}
    assert files["config"][1] == {f.role: f.sha256 for f in version.manifest.files}["config"]


def test_lineage_source_and_sizes_come_back(registry: Registry) -> None:
    publish(registry, lineage={"seed": 1}, source="training", num_parameters=7)
    version = registry.resolve("acme", "mail")
    assert (version.lineage, version.source, version.num_parameters) == ({"seed": 1}, "training", 7)
    assert version.num_bytes == sum(file.size for file in version.manifest.files)


def test_publishing_a_file_that_is_not_staged_is_refused(registry: Registry) -> None:
    with pytest.raises(MissingFile, match=r"head\.safetensors"):
        publish(registry, files=FILES | {"head": "head.safetensors"})


def test_a_publication_that_fails_leaves_no_task(registry: Registry) -> None:
    with pytest.raises(BadManifest):
        publish(registry, semantics={"rank": float("nan")})
    assert not registry.tasks("acme")


@pytest.mark.parametrize("names", [{"task": "../x"}, {"tenant": ""}])
def test_publishing_under_a_bad_name_is_refused(registry: Registry, names: dict[str, str]) -> None:
    with pytest.raises(BadName):
        publish(registry, **names)


def test_an_unknown_task_is_not_found(registry: Registry) -> None:
    with pytest.raises(UnknownTask, match="no task nothing"):
        registry.resolve("acme", "nothing")


def test_an_unknown_version_is_not_found(registry: Registry) -> None:
    publish(registry)
    with pytest.raises(UnknownVersion, match="no version 9"):
        registry.resolve("acme", Ref(task="mail", version=9))


def test_an_unknown_alias_is_not_found(registry: Registry) -> None:
    publish(registry)
    with pytest.raises(UnknownAlias, match="no alias canary"):
        registry.resolve("acme", "mail@canary")


def test_a_ref_that_is_no_name_is_refused(registry: Registry) -> None:
    with pytest.raises(BadName):
        registry.resolve("acme", "../etc")


@pytest.mark.survival("B2", "D4")
def test_another_tenants_task_is_not_there(registry: Registry) -> None:
    publish(registry)
    for ref in ("mail", "mail@1", "mail@production"):
        with pytest.raises(UnknownTask):
            registry.resolve("other", ref)
    with pytest.raises(UnknownTask):
        registry.delete_task("other", "mail")
    assert not registry.tasks("other")


@pytest.mark.survival("D4")
def test_two_tenants_number_the_same_task_name_apart(registry: Registry) -> None:
    publish(registry, value=1)
    publish(registry, value=2)
    assert publish(registry, tenant="other", value=3).number == 1


def test_tasks_come_in_pages_by_name(registry: Registry) -> None:
    for name in ("c", "a", "b"):
        publish(registry, task=name)
    assert [task.name for task in registry.tasks("acme", limit=2)] == ["a", "b"]
    assert [task.name for task in registry.tasks("acme", after="b")] == ["c"]


def test_a_page_after_something_that_is_no_name_is_refused(registry: Registry) -> None:
    with pytest.raises(BadName):
        registry.tasks("acme", after="\ud800")


def test_a_task_shows_its_newest_version_and_its_aliases(registry: Registry) -> None:
    publish(registry, value=1)
    second = publish(registry, value=2)
    registry.promote("acme", "mail", 2, alias="canary")
    task = registry.task("acme", "mail")
    assert task.latest == second
    assert [(alias.name, alias.version) for alias in task.aliases] == [
        ("canary", 2),
        ("production", 1),
    ]
    assert list(registry.tasks("acme")) == [task]
