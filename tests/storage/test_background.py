"""The threads beside a server: nothing ends them early, and nothing keeps them at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from adapters_registry.errors import StorageFull
from adapters_registry.storage import news as news_module
from adapters_registry.storage.collection import background
from adapters_registry.storage.collection.background import BackgroundCollection
from adapters_registry.storage.database import Database
from adapters_registry.storage.news import News
from tests.services.fault_proxy import FaultProxy


class ScriptedCollector:
    """Each run does the next of what it was given; the last again and again."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)

    def run(self, grace_s: float) -> None:
        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        act()


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def start(collector: Any) -> BackgroundCollection:
    made = BackgroundCollection(collector, every_s=0.01, grace_s=0)
    made.start()
    return made


def test_collection_goes_on_after_any_error_and_the_log_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    again = threading.Event()
    collection = start(
        ScriptedCollector(fail(StorageFull()), fail(RuntimeError("a bug")), again.set)
    )
    assert again.wait(10)
    collection.close()
    assert "nothing more was collected for now" in caplog.text
    assert "a bug" in caplog.text


@pytest.mark.survival("G6")
def test_the_end_waits_for_no_collection_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_CLOSE_S", 0.05)
    begun, free = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        free.wait(60)

    collection = start(ScriptedCollector(hang))
    assert begun.wait(10)
    collection.close()
    assert not free.is_set()
    free.set()


@pytest.fixture
def far(postgres_url: str, postgres_proxy: FaultProxy) -> Database:
    """Behind a proxy that can fall silent."""
    Database.open(postgres_url, migrate=True).close()
    return Database.open(postgres_proxy.redirect(postgres_url))


@pytest.mark.survival("G6")
def test_the_end_waits_for_no_news_of_a_silent_database(
    far: Database, postgres_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_module, "_CLOSE_S", 0.05)
    looked, is_silent = threading.Event(), threading.Event()

    def look() -> None:
        looked.set()
        assert is_silent.wait(10)
        with far.read() as db:
            db.exec_driver_sql("SELECT 1")

    news = News(far, poll_s=0.01)
    news.follow("a", look)
    news.start()
    assert looked.wait(10)
    postgres_proxy.hang()
    is_silent.set()
    news.close()
    assert news._thread.is_alive()
    postgres_proxy.restore()
    news._thread.join(20)
    far.close()


def test_a_connection_that_cannot_listen_is_closed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(postgres_url, migrate=True)
    news = News(database, poll_s=0.01)
    opened: list[Any] = []

    def refuse(driver: Any) -> None:
        opened.append(driver)
        raise psycopg.OperationalError("cannot listen")

    monkeypatch.setattr(news, "_listen", refuse)
    assert news._connect() is None
    assert [driver.closed for driver in opened] == [True]
    database.close()
