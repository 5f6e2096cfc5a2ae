"""Each error of a database has a type of ours: what it means to whoever waits for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from adapters_registry.errors import (
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
    WrongSchema,
)
from adapters_registry.storage import blob_table, database_engines
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from tests.services.place import Place

if TYPE_CHECKING:
    from tests.services.fault_proxy import FaultProxy


def note(database: Database, number: int, text: str = "object") -> None:
    with database.write() as db:
        blob_table.put(db, f"{number:064}", f"{text} {number}", 1, 0.0)


def count_notes(database: Database) -> int:
    with database.read() as db:
        return len(blob_table.list_page(db, "", 10_000))


@pytest.fixture
def behind_proxy(postgres_url: str, postgres_proxy: FaultProxy) -> Iterator[Database]:
    Database.open(postgres_url, migrate=True).close()
    database = Database.open(postgres_proxy.redirect(postgres_url))
    yield database
    database.close()


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    with pytest.raises(StorageUnavailable, match="cannot be reached") as caught:
        Database.open("postgresql://me:secret@127.0.0.1:1/mine")
    assert "secret" not in str(caught.value)


@pytest.mark.survival("G6")
def test_a_server_that_goes_away_is_unavailable_until_it_is_back(
    behind_proxy: Database, postgres_proxy: FaultProxy
) -> None:
    note(behind_proxy, 1)
    postgres_proxy.refuse()
    with pytest.raises(StorageUnavailable):
        count_notes(behind_proxy)
    with pytest.raises(StorageUnavailable):
        note(behind_proxy, 2)
    postgres_proxy.restore()
    note(behind_proxy, 3)
    assert count_notes(behind_proxy) == 2


def test_a_connection_that_breaks_in_a_transaction_leaves_nothing_written(
    behind_proxy: Database, postgres_proxy: FaultProxy
) -> None:
    def write() -> None:
        with behind_proxy.write() as db:
            blob_table.put(db, "a" * 64, "object", 1, 0.0)
            postgres_proxy.refuse()
            blob_table.put(db, "b" * 64, "other", 1, 0.0)

    with pytest.raises(StorageUnavailable):
        write()
    postgres_proxy.restore()
    assert count_notes(behind_proxy) == 0


def test_a_notification_that_is_lost_is_no_error_of_the_change(
    behind_proxy: Database, postgres_proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with behind_proxy.write():
        behind_proxy.after_commit("first", postgres_proxy.refuse)
        behind_proxy.announce("news")
    assert "other servers learn of a change later" in caplog.text


def test_a_closed_connection_of_the_pool_is_replaced_without_an_error(
    behind_proxy: Database, postgres_url: str
) -> None:
    note(behind_proxy, 1)
    own = Database.open(postgres_url)
    with own.write() as db:
        db.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    own.close()
    assert count_notes(behind_proxy) == 1


def test_more_readers_than_connections_are_told_to_try_again(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_engines, "_POOL_SIZE", 1)
    monkeypatch.setattr(database_engines, "_BUSY_S", 0.05)
    state = shared_place.open()
    with ExitStack() as stack:
        for _ in range(2):  # as many may be opened beyond the pool's size
            stack.enter_context(state.database.read())
        with pytest.raises(StorageBusy, match="every connection"):
            stack.enter_context(state.database.read())
    state.close()


def test_a_replica_is_read_only(shared_place: Place) -> None:
    state = shared_place.open()
    state.database.engine.dispose()
    read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
    event.listen(
        state.database.engine, "connect", lambda raw, _: (raw.execute(read_only), raw.commit())
    )
    with pytest.raises(StorageReadOnly):
        note(state.database, 1)
    state.close()


@pytest.mark.survival("G3")
def test_a_full_disk_takes_the_transaction_back_and_reads_go_on(tmp_path: Path) -> None:
    state = SharedState.open(tmp_path)
    note(state.database, 0)
    with state.database.read() as db:
        num_pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
    limit = f"PRAGMA max_page_count = {num_pages + 1}"
    event.listen(state.database.engine, "connect", lambda raw, _: raw.execute(limit))
    state.database.engine.dispose()

    def fill() -> None:
        with state.database.write() as db:
            for number in range(1, 1000):
                blob_table.put(db, f"{number:064}", f"object {number}", 1, 0.0)

    with pytest.raises(StorageFull):
        fill()
    assert count_notes(state.database) == 1
    state.close()


def test_an_error_of_a_statement_does_not_tell_what_was_written(state: SharedState) -> None:
    note(state.database, 1, "private")
    with pytest.raises(StorageError) as caught, state.database.write() as db:
        blob_table.put(db, "b" * 64, "private 1", 1, 0.0)
    assert type(caught.value) is StorageError
    assert "private 1" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:secret@host/mine", "database_url names a database of mysql; it must begin"),
        ("no url", "database_url is not the URL of a database"),
    ],
)
def test_a_url_of_no_database_that_is_known_is_refused(url: str, words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        Database.open(url)
    assert "secret" not in str(caught.value)


@pytest.mark.survival("G7")
def test_a_postgres_database_without_tables_is_not_migrated_unasked(postgres_url: str) -> None:
    with pytest.raises(WrongSchema, match=r"schema none.*run `adapterd migrate`"):
        Database.open(postgres_url)
    Database.open(postgres_url, migrate=True).close()
    Database.open(postgres_url).close()
