"""Every change of a registry leaves one row of the audit log; what changes nothing leaves none."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from adapters_registry.audit.actor import Actor, ActorKind, acting
from adapters_registry.audit.audit_event import AuditEvent, Outcome
from adapters_registry.audit.verification import verify
from adapters_registry.errors import AliasMoved, NothingToRollBack, UnknownVersion, VersionInUse
from adapters_registry.registry import Registry
from tests.registry.build import publish

ANN = Actor(kind=ActorKind.CALLER, name="k1", tenant="acme", request_id="r1")
#: methods that change nothing that others see
READS = {
    "aliases", "audit", "beside", "check", "close", "examine", "export", "files", "history",
    "is_published", "lineages", "open", "recall", "refresh", "resolve", "stage", "state", "task",
    "tasks", "versions", "versions_made_from",
}  # fmt: skip
#: what each other method is called with here, after two versions of `mail` were published
CHANGES: dict[str, Callable[[Registry], object]] = {
    "publish": lambda registry: publish(registry, value=3.0),
    "promote": lambda registry: registry.promote("acme", "mail", 1, "beta"),
    "rollback": lambda registry: registry.rollback("acme", "mail"),
    "delete_alias": lambda registry: registry.delete_alias("acme", "mail", "production"),
    "delete_version": lambda registry: registry.delete_version("acme", "mail", 1),
    "delete_task": lambda registry: registry.delete_task("acme", "mail"),
}


def public_methods(kind: type) -> set[str]:
    members = inspect.getmembers(kind, lambda each: callable(each) or isinstance(each, property))
    return {name for name, _ in members if not name.startswith("_")}


@pytest.fixture
def filled(registry: Registry) -> Registry:
    """Two versions of `mail`; production went from the first to the second."""
    publish(registry, value=1.0)
    publish(registry, value=2.0, promote=True)
    return registry


def events_of(registry: Registry, act: Callable[[], object]) -> list[AuditEvent]:
    """What an action added to the log."""
    num_before = len(registry.audit.list())
    with acting(ANN):
        act()
    return registry.audit.list()[num_before:]


def test_each_method_is_known_to_change_something_or_not() -> None:
    """A new one goes to one of the two tables above."""
    assert public_methods(Registry) == READS | CHANGES.keys()


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_each_change_leaves_one_row_with_who_did_it(filled: Registry, name: str) -> None:
    [event] = events_of(filled, lambda: CHANGES[name](filled))
    assert (event.actor, event.change.outcome) == (ANN, Outcome.DONE)
    assert (event.change.tenant, event.change.task) == ("acme", "mail")
    assert event.change.before is not None or event.change.after is not None
    assert verify(filled.state.database).faults == ()


def test_a_move_says_from_where_to_where_and_why(filled: Registry) -> None:
    one, two = filled.versions("acme", "mail")
    [event] = events_of(
        filled, lambda: filled.promote("acme", "mail", 1, reason="the newer one is rude")
    )
    change = event.change
    assert (change.action, change.target) == ("alias.promote", "mail@production")
    assert change.before == {"version": 2, "digest": two.digest}
    assert change.after == {"version": 1, "digest": one.digest}
    assert change.reason == "the newer one is rude"


def test_a_publication_names_its_digest_source_and_what_production_became(
    filled: Registry,
) -> None:
    report = {"report": {"verdict": {"decision": "ship"}}}
    [event] = events_of(filled, lambda: publish(filled, value=3.0, promote=True, lineage=report))
    version = filled.resolve("acme", "mail@3")
    assert event.change.before == {"production": 2}
    assert event.change.after == {
        "version": 3, "digest": version.digest, "source": "upload", "lineage": 1,
        "production": 3, "verdict": "ship",
    }  # fmt: skip


def test_a_deleted_task_s_versions_stay_named_in_the_log(filled: Registry) -> None:
    digests = {str(each.number): each.digest for each in filled.versions("acme", "mail")}
    [event] = events_of(filled, lambda: filled.delete_task("acme", "mail"))
    assert event.change.before == {"aliases": {"production": 2}, "versions": digests}


@pytest.mark.parametrize(
    "act",
    [
        lambda registry: registry.promote("acme", "mail", 2),
        lambda registry: publish(registry, value=2.0, fence="job-1"),
    ],
)
def test_what_changes_nothing_leaves_no_row(
    filled: Registry, act: Callable[[Registry], object]
) -> None:
    publish(filled, value=2.0, fence="job-1")
    assert events_of(filled, lambda: act(filled)) == []


@pytest.mark.survival("B12")
def test_of_two_who_move_an_alias_at_once_the_log_keeps_both_attempts(filled: Registry) -> None:
    def compete() -> None:
        filled.promote("acme", "mail", 1, expected=2)
        with pytest.raises(AliasMoved):
            filled.promote("acme", "mail", 2, expected=2)

    won, lost = events_of(filled, compete)
    assert (won.change.outcome, lost.change.outcome) == (Outcome.DONE, Outcome.REFUSED)
    assert lost.change.after == {"version": 2, "expected": 2}
    assert lost.change.reason == "mail@production names version 1, not version 2 as expected"
    assert lost.actor == ANN


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda registry: registry.delete_version("acme", "mail", 2), VersionInUse),
        (lambda registry: registry.delete_alias("acme", "mail", "production", 1), AliasMoved),
        (lambda registry: [registry.rollback("acme", "mail") for _ in range(2)], NothingToRollBack),
    ],
)
def test_what_the_state_does_not_allow_is_recorded_as_refused(
    filled: Registry, act: Callable[[Registry], object], error: type[Exception]
) -> None:
    def attempt() -> None:
        with pytest.raises(error):
            act(filled)

    *_, event = events_of(filled, attempt)
    assert event.change.outcome is Outcome.REFUSED


def test_what_does_not_exist_is_no_change_and_no_attempt(filled: Registry) -> None:
    def attempt() -> None:
        with pytest.raises(UnknownVersion):
            filled.promote("acme", "mail", 9)

    assert events_of(filled, attempt) == []
