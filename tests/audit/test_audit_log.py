"""The chain of the audit log: what is written is found, and what is tampered with is named."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from adapters_registry.audit.actor import SYSTEM, Actor, ActorKind, acting, current_actor
from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.audit.tables import AUDIT_EVENT, AUDIT_HEAD
from adapters_registry.audit.verification import list_heads, verify
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from server.service.history_views import audit_event_view

ANN = Actor(kind=ActorKind.CALLER, name="k1", tenant="acme", request_id="r1")


def change(tenant: str = "acme", target: str = "mail@1", **facts: object) -> Change:
    values = {"action": "version.publish", "task": "mail", "after": {"version": 1}, **facts}
    return Change(tenant=tenant, target=target, **values)  # type: ignore[arg-type]


def fill(database: Database, num: int = 5) -> AuditLog:
    log = AuditLog(database, clock=lambda: 7.5)
    with acting(ANN):
        for number in range(1, num + 1):
            log.record(change(target=f"mail@{number}"))
    return log


def execute(database: Database, statement: sa.Executable) -> None:
    with database.write() as db:
        db.execute(statement)


def raise_after(act: Callable[[], None]) -> None:
    act()
    raise ZeroDivisionError


def row(sequence: int) -> sa.ColumnElement[bool]:
    return (AUDIT_EVENT.c.tenant == "acme") & (AUDIT_EVENT.c.sequence == sequence)


def test_a_change_is_recorded_with_who_when_and_what(state: SharedState) -> None:
    log = fill(state.database, 1)
    [event] = log.list("acme")
    assert (event.actor, event.at, event.sequence) == (ANN, 7.5, 1)
    assert (event.change.action, event.change.target) == ("version.publish", "mail@1")
    assert current_actor() == SYSTEM


def test_a_row_s_line_can_be_checked_by_anybody_with_sha256(state: SharedState) -> None:
    first, second = fill(state.database, 2).list("acme")
    assert json.loads(second.text)["previous"] == hashlib.sha256(first.text.encode()).hexdigest()


def test_a_change_that_is_rolled_back_leaves_no_row(state: SharedState) -> None:
    log = AuditLog(state.database)
    with pytest.raises(ZeroDivisionError), state.database.write():
        raise_after(lambda: log.record(change()))
    assert log.list("acme") == []
    assert verify(state.database).num_rows == 0


def test_the_newest_events_are_listed_by_task_target_time_and_page(state: SharedState) -> None:
    log = fill(state.database, 5)
    log.record(change(target="news@1", task="news"))
    assert [event.sequence for event in log.list("acme", limit=2)] == [5, 6]
    assert [event.sequence for event in log.list("acme", before=5, limit=2)] == [3, 4]
    assert [event.change.target for event in log.list("acme", task="news")] == ["news@1"]
    assert [event.sequence for event in log.list("acme", target="mail@2")] == [2]
    assert log.list("acme", since=8.0) == []
    assert log.list("globex") == []
    assert len(log.list(limit=10)) == 6


def test_an_untouched_log_is_whole(state: SharedState) -> None:
    log = fill(state.database)
    log.record(change("globex"))
    found = verify(state.database, kept=list_heads(state.database, "acme"))
    assert (found.num_rows, found.faults) == (6, ())
    assert [(head.tenant, head.sequence) for head in found.heads] == [("acme", 5), ("globex", 1)]


def edit_content(database: Database) -> None:
    text = AuditLog(database).list("acme")[2].text.replace("mail@3", "mail@9")
    execute(database, sa.update(AUDIT_EVENT).where(row(3)).values(document=text))


def edit_content_and_hash(database: Database) -> None:
    text = AuditLog(database).list("acme")[1].text.replace("mail@2", "mail@9")
    digest = hashlib.sha256(text.encode()).hexdigest()
    values = {"document": text, "hash": digest, "target": "mail@9"}
    execute(database, sa.update(AUDIT_EVENT).where(row(2)).values(values))


def edit_column(database: Database) -> None:
    execute(database, sa.update(AUDIT_EVENT).where(row(3)).values(target="mail@9"))


def remove(database: Database) -> None:
    execute(database, sa.delete(AUDIT_EVENT).where(row(3)))


def insert(database: Database) -> None:
    """A row that looks right by itself, between two others that make room."""
    execute(database, sa.delete(AUDIT_EVENT).where(row(3)))
    event = AuditLog(database).list("acme")[1]
    text = event.text.replace('"sequence":2', '"sequence":3')
    values = {
        "tenant": "acme", "sequence": 3, "at": 7.5, "action": "version.publish", "task": "mail",
        "target": "mail@2", "document": text, "hash": hashlib.sha256(text.encode()).hexdigest(),
    }  # fmt: skip
    execute(database, sa.insert(AUDIT_EVENT).values(values))


def swap(database: Database) -> None:
    for old, new in ((3, 99), (4, 3), (99, 4)):
        execute(database, sa.update(AUDIT_EVENT).where(row(old)).values(sequence=new))


def cut_off(database: Database) -> None:
    execute(database, sa.delete(AUDIT_EVENT).where(AUDIT_EVENT.c.sequence >= 3))


@pytest.mark.parametrize(
    ("tamper", "sequence", "words"),
    [
        (edit_content, 3, "edited"),
        (edit_content_and_hash, 3, "the row before it has"),
        (edit_column, 3, "its target is 'mail@9'"),
        (remove, 4, "row 3 of the chain is missing"),
        (insert, 3, "a row was inserted"),
        (swap, 3, "follows a row"),
        (cut_off, 3, "removed from its end"),
    ],
)
def test_the_first_row_that_is_not_as_it_was_written_is_named(
    state: SharedState, tamper: Callable[[Database], None], sequence: int, words: str
) -> None:
    fill(state.database)
    tamper(state.database)
    [fault] = verify(state.database).faults
    assert (fault.tenant, fault.sequence) == ("acme", sequence)
    assert words in fault.sentence


def cut_off_with_head(database: Database) -> None:
    cut_off(database)
    [*_, last] = AuditLog(database).list("acme")
    values = {"sequence": 2, "hash": hashlib.sha256(last.text.encode()).hexdigest()}
    execute(database, sa.update(AUDIT_HEAD).values(values))


def remove_all(database: Database) -> None:
    execute(database, sa.delete(AUDIT_EVENT))
    execute(database, sa.delete(AUDIT_HEAD))


def write_anew(database: Database) -> None:
    remove_all(database)
    AuditLog(database, clock=lambda: 8.5).record(change())
    for number in range(2, 7):
        AuditLog(database).record(change(target=f"mail@{number}"))


@pytest.mark.parametrize("tamper", [cut_off_with_head, remove_all, write_anew])
def test_a_chain_that_agrees_with_itself_is_held_against_a_head_kept_elsewhere(
    state: SharedState, tamper: Callable[[Database], None]
) -> None:
    fill(state.database)
    kept = list_heads(state.database)
    tamper(state.database)
    assert verify(state.database).faults == ()
    [fault] = verify(state.database, kept=kept).faults
    assert (fault.tenant, fault.sequence) == ("acme", 5)
    assert "kept elsewhere" in fault.sentence


def record_many(url: str, tenants: list[str], num: int) -> None:
    database = Database.open(url)
    log = AuditLog(database)
    for number in range(num):
        with database.write():
            for tenant in tenants:
                log.record(change(tenant, target=f"mail@{number}"))
    database.close()


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_writers_at_the_same_time_keep_each_chain_whole(database_url: str, kind: str) -> None:
    """Each transaction writes to both chains, in either order: nobody waits for ever."""
    orders = [["acme", "globex"], ["globex", "acme"]]
    if kind == "processes":
        spawn = multiprocessing.get_context("spawn")
        running = [spawn.Process(target=record_many, args=(database_url, o, 15)) for o in orders]
    else:
        running = [threading.Thread(target=record_many, args=(database_url, o, 15)) for o in orders]  # type: ignore[misc]
    for each in running:
        each.start()
    for each in running:
        each.join()
    database = Database.open(database_url)
    found = verify(database)
    database.close()
    assert (found.num_rows, found.faults) == (60, ())
    assert [head.sequence for head in found.heads] == [30, 30]


def test_an_edited_row_is_shown_with_the_hash_that_was_recorded(state: SharedState) -> None:
    log = fill(state.database, 1)
    edited = log.list("acme")[0].text.replace("mail@1", "mail@7")
    recorded = log.list("acme")[0].hash
    execute(state.database, sa.update(AUDIT_EVENT).where(row(1)).values(document=edited))
    view = audit_event_view(log.list("acme")[0])
    assert (view.text, view.hash) == (edited, recorded)
    assert hashlib.sha256(view.text.encode()).hexdigest() != view.hash


def test_a_row_s_own_spelling_is_shown_as_it_is_stored(state: SharedState) -> None:
    """Also where this release would write it differently."""
    log = fill(state.database, 1)
    spaced = json.dumps(json.loads(log.list("acme")[0].text), indent=1)
    execute(state.database, sa.update(AUDIT_EVENT).where(row(1)).values(document=spaced))
    assert log.list("acme")[0].text == spaced


@pytest.mark.parametrize("task", ["t" * 70, "nul\0", "half \ud800"])
def test_a_change_whose_task_no_column_holds_is_recorded(state: SharedState, task: str) -> None:
    log = fill(state.database, 0)
    log.record(change(task=task, target=task))
    [event] = log.list("acme")
    assert event.change.task[:3] == task[:3]
    assert verify(state.database).faults == ()
