"""Hears in one thread what other servers announced, and looks for itself now and then, as an
announcement may be lost. SQLite announces nothing: there, everybody looks. Knows no table.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from adapters_registry.errors import RegistryError
from adapters_registry.storage.database import Channel, Database
from adapters_registry.storage.database_faults import DATABASE_ERRORS, translate_errors

_log = logging.getLogger(__name__)
#: PostgreSQL is asked to reconnect no more often than this
_RECONNECT_S = 1.0
#: how long the end of the process waits for a look that has begun
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Follower:
    channel: Channel
    look: Callable[[], object]
    polls: bool


class News:
    """`follow` channels, then `start`. Everything is called in the one thread of this object."""

    def __init__(self, database: Database, poll_s: float) -> None:
        self._database = database
        self._poll_s = poll_s
        self._followers: list[_Follower] = []
        self._connection: psycopg.Connection[Any] | None = None
        self._connect_at = 0.0
        self._looked_at = time.monotonic()
        self._has_failed = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)

    @property
    def age_s(self) -> float:
        """How long ago the last look succeeded: what happened elsewhere since may be unknown."""
        return time.monotonic() - self._looked_at

    def follow(self, channel: Channel, look: Callable[[], object], *, polls: bool = True) -> None:
        """Call `look` whenever something is announced, and with `polls` at each interval too."""
        self._followers.append(_Follower(channel=channel, look=look, polls=polls))

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """A look that a silent database keeps waiting is left behind."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        channels = {follower.channel for follower in self._followers}
        while not self._stop.is_set():
            self._look_at(channels)
            channels = self._wait()
        self._disconnect()

    def _look_at(self, channels: set[Channel]) -> None:
        """Those that were announced, and all that poll."""
        try:
            for follower in self._followers:
                if follower.polls or follower.channel in channels:
                    follower.look()
        except RegistryError as error:
            if not self._has_failed:
                extra = {"action": "news.failed"}
                _log.warning("changes made elsewhere are not seen: %s", error, extra=extra)
            self._has_failed = True
            return
        except Exception:  # noqa: BLE001 without this thread, this server would grow ever older
            _log.exception("a look at changes failed", extra={"action": "news.failed"})
            return
        if self._has_failed:
            _log.info("changes made elsewhere are seen again", extra={"action": "news.ready"})
        self._has_failed = False
        self._looked_at = time.monotonic()

    def _wait(self) -> set[Channel]:
        """Until something is announced or the interval is over; what was announced."""
        if self._database.is_sqlite:
            self._stop.wait(self._poll_s)
            return set()
        try:
            connection = self._connect()
            if connection is not None:
                # the first that comes, with all that came together with it
                return {
                    heard.channel
                    for heard in connection.notifies(timeout=self._poll_s, stop_after=1)
                }
        except DATABASE_ERRORS:
            self._disconnect()
        self._stop.wait(self._poll_s)
        return set()

    def _connect(self) -> psycopg.Connection[Any] | None:
        """A connection of its own that listens; None where one could not be had lately."""
        if self._connection is None and time.monotonic() >= self._connect_at:
            self._connect_at = time.monotonic() + _RECONNECT_S
            with suppress(RegistryError), translate_errors("listen to the database"):
                fairy = self._database.engine.raw_connection()
                driver: Any = fairy.driver_connection
                fairy.detach()
                try:
                    self._listen(driver)
                except BaseException:
                    driver.close()
                    raise
                self._connection = driver
        return self._connection

    def _listen(self, driver: Any) -> None:
        driver.autocommit = True
        for follower in self._followers:
            driver.execute(f'LISTEN "{follower.channel}"')

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(*DATABASE_ERRORS):
                self._connection.close()
        self._connection = None
