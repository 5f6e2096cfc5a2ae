"""Documents kept beside a version: with it, no part of it, gone with it."""

from __future__ import annotations

import pytest

from adapters_registry.errors import BlobMissing
from adapters_registry.registry import Registry
from tests.registry.build import publish
from tests.registry.collect import collect, is_tidy

REPORT = {"report": b'{"accuracy": 1}'}


def test_what_is_beside_a_version_is_read_by_its_name(registry: Registry) -> None:
    version = publish(registry, beside=REPORT)
    assert registry.beside(version, "report") == REPORT["report"]
    assert registry.beside(version, "else") is None


def test_it_is_no_part_of_the_version(registry: Registry) -> None:
    with_one = publish(registry, task="one", beside=REPORT)
    without = publish(registry, task="two")
    assert with_one.digest == without.digest
    assert [role for role, _, _ in registry.files(with_one)] == ["adapter", "config"]


def test_the_same_content_published_again_keeps_the_first_document(registry: Registry) -> None:
    publish(registry, beside=REPORT)
    again = publish(registry, beside={"report": b"other"})
    assert registry.beside(again, "report") == REPORT["report"]


def test_it_stays_through_a_collection_and_goes_with_the_version(registry: Registry) -> None:
    publish(registry, value=1)
    version = publish(registry, value=2, beside=REPORT)
    assert collect(registry) == set()
    assert registry.beside(version, "report") == REPORT["report"]
    registry.delete_version("acme", "mail", 2)
    assert registry.beside(version, "report") is None
    collect(registry)
    assert is_tidy(registry)


def test_it_goes_with_the_task(registry: Registry) -> None:
    version = publish(registry, beside=REPORT)
    registry.delete_task("acme", "mail")
    collect(registry)
    assert is_tidy(registry)
    with pytest.raises(BlobMissing):
        registry.files(version)
