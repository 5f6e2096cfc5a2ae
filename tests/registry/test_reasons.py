"""Why a gate was overridden stays with the move of the alias."""

from __future__ import annotations

from adapters_registry.registry import Registry
from tests.registry.build import publish


def test_the_reason_of_a_promotion_stays_in_the_history(registry: Registry) -> None:
    for value in (1, 2):
        publish(registry, value=value)
    registry.promote("acme", "mail", 2, reason="new labels")
    registry.promote("acme", "mail", 1)
    assert [event.reason for event in registry.history("acme", "mail")] == ["", "new labels", ""]


def test_a_deleted_task_takes_its_reasons_along(registry: Registry) -> None:
    for value in (1, 2):
        publish(registry, value=value)
    registry.promote("acme", "mail", 2, reason="new labels")
    registry.delete_task("acme", "mail")
    publish(registry, value=3)
    assert [event.reason for event in registry.history("acme", "mail")] == [""]
