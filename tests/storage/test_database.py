"""Transactions over both databases: what is whole, who sees what, what follows, and who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import pytest
import sqlalchemy as sa

from adapters_registry.errors import StorageBusy, StorageReadOnly
from adapters_registry.storage import blob_table, database_engines
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from tests.services.place import Place

Result = TypeVar("Result")


@pytest.fixture
def database(state: SharedState) -> Database:
    return state.database


def note(db: sa.Connection, number: int) -> None:
    """Write a row."""
    blob_table.put(db, f"{number:064}", f"object {number}", 1, 0.0)


def read_notes(database: Database) -> list[int]:
    with database.read() as db:
        return list_notes(db)


def list_notes(db: sa.Connection) -> list[int]:
    return [int(row.sha256) for row in blob_table.list_page(db, "", 100)]


def elsewhere(act: Callable[[], Result]) -> Result:
    """In a thread of its own, which has none of the caller's transactions."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


@contextmanager
def beside(act: Callable[[], Any]) -> Iterator[Future[Any]]:
    """What runs in another thread meanwhile; its error is raised at the end."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(act)
        yield future
        future.result()


@contextmanager
def failing(database: Database) -> Iterator[sa.Connection]:
    """A transaction that ends with an error, which is expected."""
    try:
        with database.write() as db:
            yield db
            raise LookupError
    except LookupError:
        return
    pytest.fail("the error was lost")


# ------------------------------------------------------------ all or nothing


def test_what_is_written_is_there_once_the_block_ends(database: Database) -> None:
    with database.write() as db:
        note(db, 1)
        assert elsewhere(lambda: read_notes(database)) == []
    assert read_notes(database) == [1]


def test_an_error_in_the_block_takes_everything_back(database: Database) -> None:
    with failing(database) as db:
        note(db, 1)
    assert read_notes(database) == []


def test_a_block_in_a_block_is_a_part_of_it(database: Database) -> None:
    with failing(database) as outer:
        note(outer, 1)
        with database.write("lock") as inner:
            assert inner is outer
            note(inner, 2)
    assert read_notes(database) == []
    with database.write("lock") as outer, database.write("lock", "other") as inner:
        note(inner, 3)
    assert read_notes(database) == [3]


def test_a_transaction_after_one_that_failed_is_a_new_one(database: Database) -> None:
    with failing(database):
        database.before_commit("k", lambda db: note(db, 1))
    with database.write() as db:
        note(db, 2)
    assert read_notes(database) == [2]


# ------------------------------------------------------------ who sees what


def test_a_read_within_a_write_sees_what_was_written(database: Database) -> None:
    with database.write() as db:
        note(db, 1)
        assert read_notes(database) == [1]


def test_all_statements_of_one_read_see_the_same_moment(database: Database) -> None:
    def write() -> None:
        with database.write() as db:
            note(db, 1)

    with database.read() as db:
        assert list_notes(db) == []
        elsewhere(write)
        assert list_notes(db) == []
    assert read_notes(database) == [1]


def test_a_read_that_tries_to_write_on_postgres_is_refused(shared_place: Place) -> None:
    state = shared_place.open()
    with pytest.raises(StorageReadOnly, match="read-only"), state.database.read() as db:
        note(db, 1)
    state.close()


# ------------------------------------------------------------ before and after a commit


def test_what_comes_before_a_commit_runs_last_once_for_each_key_and_in_order(
    database: Database,
) -> None:
    order = list[str]()

    def finish(db: sa.Connection, name: str) -> None:
        order.append(name)
        note(db, len(order))

    with database.write() as db:
        database.before_commit("a", lambda db: finish(db, "a"))
        database.before_commit("b", lambda db: finish(db, "b"))
        database.before_commit("a", lambda db: finish(db, "a again"))
        assert list_notes(db) == order == []
    assert order == ["a", "b"]
    assert read_notes(database) == [1, 2]


def test_what_finishes_may_add_something_to_finish(database: Database) -> None:
    def finish(_: sa.Connection) -> None:
        database.before_commit("more", lambda db: note(db, 1))

    with database.write():
        database.before_commit("first", finish)
    assert read_notes(database) == [1]


def test_an_error_before_the_commit_takes_everything_back(database: Database) -> None:
    def fail(_: sa.Connection) -> None:
        raise LookupError

    def write() -> None:
        with database.write() as db:
            note(db, 1)
            database.before_commit("k", fail)

    with pytest.raises(LookupError):
        write()
    assert read_notes(database) == []


def test_what_follows_a_commit_comes_after_it_once_for_each_key(database: Database) -> None:
    seen = list[list[int]]()

    def follow() -> None:
        seen.append(elsewhere(lambda: read_notes(database)))

    with database.write() as db:
        database.after_commit("k", follow)
        database.after_commit("k", follow)
        note(db, 1)
    assert seen == [[1]]


def test_what_follows_a_commit_may_write_in_a_transaction_of_its_own(database: Database) -> None:
    def follow() -> None:
        with database.write() as db:
            note(db, 2)

    with database.write() as db:
        database.after_commit("k", follow)
        note(db, 1)
    assert read_notes(database) == [1, 2]


def test_nothing_follows_a_rollback(database: Database) -> None:
    followed = list[str]()
    with failing(database):
        database.after_commit("k", lambda: followed.append("rolled back"))
        database.before_commit("k", lambda _: followed.append("rolled back"))
    with database.write():
        database.after_commit("k", lambda: followed.append("committed"))
    assert followed == ["committed"]


def test_outside_of_a_transaction_what_follows_comes_at_once(database: Database) -> None:
    followed = list[str]()
    database.after_commit("k", lambda: followed.append("now"))
    assert followed == ["now"]


def test_other_servers_hear_of_what_was_committed_and_of_nothing_else(
    shared_place: Place,
) -> None:
    state = shared_place.open()
    url = state.database.engine.url.set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as listener:
        for channel in ("rolled_back", "committed"):
            listener.execute(f"LISTEN {channel}")
        with failing(state.database):
            state.database.announce("rolled_back")
        with state.database.write():
            state.database.announce("committed")
            state.database.announce("committed")
        heard = [each.channel for each in listener.notifies(timeout=5, stop_after=1)]
        heard += [each.channel for each in listener.notifies(timeout=0.05)]
    assert heard == ["committed"]
    state.close()


# ------------------------------------------------------------ who waits


def test_a_writer_waits_for_whoever_holds_its_lock(database: Database) -> None:
    order = list[str]()
    held = threading.Event()

    def write() -> None:
        held.wait()
        with database.write("lock"):
            order.append("second")

    with beside(write) as other:
        with database.write("lock"):
            held.set()
            wait([other], timeout=0.05)
            order.append("first")
        other.result()
    assert order == ["first", "second"]


def test_a_lock_in_another_order_keeps_nobody_waiting_for_ever(database: Database) -> None:
    barrier = threading.Barrier(2)

    def write(*locks: str) -> None:
        barrier.wait()
        for _ in range(10):
            with database.write(*locks):
                pass

    with beside(lambda: write("a", "b")):
        write("b", "a")


def test_writers_of_different_locks_do_not_wait_on_postgres(shared_place: Place) -> None:
    state = shared_place.open()

    def write() -> None:
        with state.database.write("other") as db:
            note(db, 1)

    with state.database.write("lock"):
        elsewhere(write)
    state.close()


@pytest.mark.survival("G6")
def test_who_waits_too_long_is_told_to_try_again(
    new_place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_engines, "_BUSY_S", 0.05)
    state = new_place().open()

    def write() -> None:
        with state.database.write("lock") as db:
            note(db, 1)

    with state.database.write("lock"):
        with pytest.raises(StorageBusy):
            elsewhere(write)
    write()
    assert read_notes(state.database) == [1]
    state.close()
