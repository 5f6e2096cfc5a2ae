"""Keys in a database that goes away: who gets in meanwhile, and what the audit log keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters_registry.audit.actor import Actor, ActorKind, acting
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.audit.verification import verify
from adapters_registry.errors import StorageUnavailable
from adapters_registry.storage.database import Database
from adapters_registry.storage.news import News
from server.auth.database_keys import STALE_S, DatabaseKeyRing
from server.auth.key_table import KeyTable
from server.errors import KeysStale
from tests.audit.test_registry_changes import public_methods
from tests.server.key_sources import Clock

ANN = Actor(kind=ActorKind.OPERATOR, name="ann")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.open(f"sqlite:///{tmp_path / 'adapterd.db'}")


@pytest.mark.survival("G6")
def test_while_the_database_is_away_the_last_keys_open_for_a_while_and_then_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, table = Clock(), KeyTable(database)
    key, token = table.create("acme", "use")
    ring = DatabaseKeyRing(clock=clock, now=clock)
    ring.follow(database, News(database, poll_s=1.0))

    def fail(_: KeyTable) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as away:
        away.setattr(KeyTable, "stamp", fail)
        clock.now += STALE_S
        with pytest.raises(StorageUnavailable):
            ring.refresh()
        assert ring.check(token) == key
        clock.now += 1.0
        for ask in (lambda: ring.check(token), lambda: ring.find(key.id)):
            with pytest.raises(KeysStale):
                ask()
    ring.refresh()
    assert ring.check(token) == key


def test_nobody_gets_in_before_the_keys_were_read() -> None:
    with pytest.raises(KeysStale):
        DatabaseKeyRing().check("adk_x_y")


def test_an_unchanged_table_is_not_read_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = KeyTable(database)
    key, _ = table.create("acme", "use")
    ring = DatabaseKeyRing()
    ring.follow(database, News(database, poll_s=1.0))
    with monkeypatch.context() as unchanged:
        unchanged.delattr(KeyTable, "list")
        ring.refresh()
    table.revoke(key.id)
    ring.refresh()
    assert ring.find(key.id) is None


def test_a_ring_s_look_is_one_of_the_news(database: Database) -> None:
    news, ring = News(database, poll_s=0.01), DatabaseKeyRing()
    ring.follow(database, news)
    news.start()
    key, token = KeyTable(database).create("acme", "use")
    while ring.find(key.id) is None:
        pass
    assert ring.check(token) == key
    news.close()


#: what each method that changes keys is called with here
CHANGES = {
    "create": lambda table, key: table.create("acme", "read"),
    "revoke": lambda table, key: table.revoke(key.id),
}


def test_each_method_of_the_table_is_known_to_change_something_or_not() -> None:
    assert public_methods(KeyTable) == {"list", "stamp"} | CHANGES.keys()


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_each_change_of_keys_leaves_one_row_without_hash_or_secret(
    database: Database, name: str
) -> None:
    table, log = KeyTable(database), AuditLog(database)
    key, _ = table.create("acme", "use")
    with acting(ANN):
        CHANGES[name](table, key)
    [_, event] = log.list("acme")
    assert (event.actor, event.change.action) == (ANN, f"key.{name}")
    assert key.hash not in event.text
    assert verify(database).faults == ()
