from __future__ import annotations

import pytest

from adapters_registry.errors import BlobMissing, UnknownTask, UnknownVersion, VersionInUse
from adapters_registry.registry import Registry
from adapters_registry.values import Version
from tests.registry.build import publish
from tests.registry.collect import collect, is_tidy, list_contents


def test_a_deleted_version_is_gone(registry: Registry) -> None:
    publish(registry, value=1)
    publish(registry, value=2)
    registry.delete_version("acme", "mail", 2)
    with pytest.raises(UnknownVersion):
        registry.resolve("acme", "mail@2")


def test_the_files_of_a_deleted_version_stay_until_they_are_collected(registry: Registry) -> None:
    publish(registry, value=1)
    second = publish(registry, value=2)
    stored = list_contents(registry)
    registry.delete_version("acme", "mail", 2)
    assert list_contents(registry) == stored
    # the configuration is that of the first version too
    assert collect(registry) == {sha256_of(second, "adapter")}
    with pytest.raises(BlobMissing):
        registry.files(second)


def test_a_version_that_an_alias_names_cannot_be_deleted(registry: Registry) -> None:
    version = publish(registry)
    with pytest.raises(
        VersionInUse, match="the alias production points to mail@1; move or delete it first"
    ):
        registry.delete_version("acme", "mail", 1)
    assert registry.files(version)


def test_deleting_an_unknown_version_is_not_found(registry: Registry) -> None:
    publish(registry)
    with pytest.raises(UnknownVersion):
        registry.delete_version("acme", "mail", 5)


def test_files_that_another_version_shares_stay(registry: Registry) -> None:
    publish(registry, task="one", value=1)
    keeper = publish(registry, task="two", value=1, tenant="other")
    registry.delete_task("acme", "one")
    assert collect(registry) == set()
    assert all(path.exists() for _, path, _ in registry.files(keeper))


def test_a_number_is_never_given_twice(registry: Registry) -> None:
    publish(registry, value=1)
    publish(registry, value=2)
    registry.delete_version("acme", "mail", 2)
    assert publish(registry, value=2).number == 3


def test_a_deleted_task_is_gone(registry: Registry) -> None:
    publish(registry)
    registry.delete_task("acme", "mail")
    with pytest.raises(UnknownTask):
        registry.task("acme", "mail")
    assert not registry.tasks("acme")


def test_a_task_that_comes_back_goes_on_counting_with_a_new_history(registry: Registry) -> None:
    publish(registry, value=1)
    registry.delete_task("acme", "mail")
    assert publish(registry, value=2).number == 2
    assert [event.version for event in registry.history("acme", "mail")] == [2]


def test_deleting_an_unknown_task_is_not_found(registry: Registry) -> None:
    with pytest.raises(UnknownTask):
        registry.delete_task("acme", "mail")


def test_nothing_is_stored_but_what_versions_name(registry: Registry) -> None:
    publish(registry, value=1)
    publish(registry, value=2)
    assert is_tidy(registry)
    registry.delete_version("acme", "mail", 2)
    collect(registry)
    assert is_tidy(registry)


def sha256_of(version: Version, role: str) -> str:
    return next(file.sha256 for file in version.manifest.files if file.role == role)


def test_a_task_whose_last_version_was_deleted_is_in_nobodys_way(registry: Registry) -> None:
    publish(registry)
    publish(registry, task="other")
    registry.delete_alias("acme", "mail", "production")
    registry.delete_version("acme", "mail", 1)
    assert [task.name for task in registry.tasks("acme")] == ["other"]
    with pytest.raises(UnknownTask):
        registry.task("acme", "mail")
    assert publish(registry, value=2).number == 2
