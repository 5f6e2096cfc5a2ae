from __future__ import annotations

from pathlib import Path

import pytest

from adapters_registry.errors import (
    AliasMoved,
    BadName,
    NothingToRollBack,
    UnknownAlias,
    UnknownTask,
    UnknownVersion,
)
from adapters_registry.registry import Registry
from tests.registry.build import publish


@pytest.fixture
def three(registry: Registry) -> Registry:
    for value in (1, 2, 3):
        publish(registry, value=value)
    return registry


def production(registry: Registry) -> int:
    return registry.resolve("acme", "mail").number


def test_promoting_moves_production(three: Registry) -> None:
    alias = three.promote("acme", "mail", 2)
    assert (alias.name, alias.version) == ("production", 2)
    assert production(three) == 2


def test_an_alias_of_its_own_leaves_production_alone(three: Registry) -> None:
    three.promote("acme", "mail", 3, alias="canary")
    assert three.resolve("acme", "mail@canary").number == 3
    assert production(three) == 1


def test_a_promotion_with_the_expected_version_succeeds(three: Registry) -> None:
    three.promote("acme", "mail", 2, expected=1)
    assert production(three) == 2


@pytest.mark.survival("B12")
def test_a_promotion_is_refused_once_the_alias_has_moved(three: Registry) -> None:
    three.promote("acme", "mail", 2)
    with pytest.raises(AliasMoved, match="names version 2, not version 1 as expected") as caught:
        three.promote("acme", "mail", 3, expected=1)
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert production(three) == 2


def test_expecting_a_version_of_an_alias_that_does_not_exist_is_refused(three: Registry) -> None:
    with pytest.raises(AliasMoved, match="names nothing"):
        three.promote("acme", "mail", 2, alias="canary", expected=1)


def test_expecting_no_version_makes_a_new_alias_once(three: Registry) -> None:
    three.promote("acme", "mail", 2, alias="canary", expected=0)
    with pytest.raises(AliasMoved):
        three.promote("acme", "mail", 3, alias="canary", expected=0)


def test_promoting_an_unknown_version_is_not_found(three: Registry) -> None:
    with pytest.raises(UnknownVersion):
        three.promote("acme", "mail", 9)


def test_a_number_no_database_can_hold_is_not_found(three: Registry) -> None:
    with pytest.raises(UnknownVersion):
        three.promote("acme", "mail", 10**30)


def test_promoting_in_an_unknown_task_is_not_found(registry: Registry) -> None:
    with pytest.raises(UnknownTask):
        registry.promote("acme", "mail", 1)


def test_promoting_under_a_number_as_alias_is_refused(three: Registry) -> None:
    with pytest.raises(BadName):
        three.promote("acme", "mail", 1, alias="2")


def test_rolling_back_goes_to_the_version_before(three: Registry) -> None:
    three.promote("acme", "mail", 3)
    assert three.rollback("acme", "mail").version == 1


def test_rolling_back_twice_goes_back_two_moves(three: Registry) -> None:
    three.promote("acme", "mail", 2)
    three.promote("acme", "mail", 3)
    three.rollback("acme", "mail")
    assert three.rollback("acme", "mail").version == 1


def test_a_rollback_skips_deleted_versions(three: Registry) -> None:
    three.promote("acme", "mail", 2)
    three.promote("acme", "mail", 3)
    three.delete_version("acme", "mail", 2)
    assert three.rollback("acme", "mail").version == 1


def test_an_alias_that_never_moved_cannot_roll_back(three: Registry) -> None:
    with pytest.raises(NothingToRollBack, match="no version before 1"):
        three.rollback("acme", "mail")


def test_rolling_back_an_unknown_alias_is_not_found(three: Registry) -> None:
    with pytest.raises(UnknownAlias):
        three.rollback("acme", "mail", alias="canary")


def test_a_deleted_alias_is_gone_and_its_version_can_be_deleted(three: Registry) -> None:
    three.promote("acme", "mail", 3, alias="canary")
    assert three.resolve("acme", "mail@canary").number == 3
    three.delete_alias("acme", "mail", "canary")
    with pytest.raises(UnknownAlias):
        three.resolve("acme", "mail@canary")
    three.delete_version("acme", "mail", 3)
    assert production(three) == 1


def test_the_history_of_a_deleted_alias_stays(three: Registry) -> None:
    three.promote("acme", "mail", 3, alias="canary")
    three.delete_alias("acme", "mail", "canary")
    moves = [(e.action, e.previous, e.version) for e in three.history("acme", "mail", "canary")]
    assert moves == [("promote", None, 3), ("delete", 3, 3)]


def test_an_alias_that_was_deleted_does_not_roll_back_beyond_that(three: Registry) -> None:
    three.promote("acme", "mail", 2)
    three.delete_alias("acme", "mail", "production")
    three.promote("acme", "mail", 3)
    with pytest.raises(NothingToRollBack):
        three.rollback("acme", "mail")


def test_an_alias_is_deleted_only_where_it_points_to_the_expected_version(three: Registry) -> None:
    with pytest.raises(AliasMoved, match="names version 1, not version 2 as expected"):
        three.delete_alias("acme", "mail", "production", expected=2)
    assert production(three) == 1
    three.delete_alias("acme", "mail", "production", expected=1)
    assert three.aliases("acme", "mail") == ()


def test_deleting_an_unknown_alias_is_not_found(three: Registry) -> None:
    with pytest.raises(UnknownAlias):
        three.delete_alias("acme", "mail", "canary")


def test_promoting_the_current_version_is_no_move(three: Registry) -> None:
    three.promote("acme", "mail", 1)
    assert len(three.history("acme", "mail")) == 1


def test_the_history_tells_every_move_in_order(three: Registry) -> None:
    three.promote("acme", "mail", 2)
    three.rollback("acme", "mail")
    moves = [
        (event.action, event.previous, event.version) for event in three.history("acme", "mail")
    ]
    assert moves == [("publish", None, 1), ("promote", 1, 2), ("rollback", 2, 1)]


def test_moves_are_dated_by_the_given_clock(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path / "data", clock=lambda: 42.0)
    publish(registry)
    assert registry.history("acme", "mail")[0].at == 42.0
    assert registry.resolve("acme", "mail").created_at == 42.0
    registry.close()
