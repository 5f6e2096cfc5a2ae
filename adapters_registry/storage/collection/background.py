"""Collects again and again in a thread of its own, beside whatever else the process does."""

from __future__ import annotations

import logging
import threading

from adapters_registry.errors import StorageError
from adapters_registry.storage.collection.collector import Collector

_log = logging.getLogger(__name__)
_CLOSE_S = 5.0


class BackgroundCollection:
    """`start` once, `close` at the end; a run that has begun is waited for, unless a database that
    is silent keeps it: what it leaves, the next run finishes. With `only_copies` it leaves the
    store to others, and drops this machine's copies of what they deleted.
    """

    def __init__(self, collector: Collector, every_s: float, grace_s: float) -> None:
        self._collector = collector
        self._every_s = every_s
        self._grace_s = grace_s
        self._only_copies = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="collection", daemon=True)

    def start(self, *, only_copies: bool = False) -> None:
        self._only_copies = only_copies
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _collect(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._run()
            except StorageError as error:  # the next run goes on from there
                extra = {"action": "blobs.collection_failed"}
                _log.warning("nothing more was collected for now: %s", error, extra=extra)
            except Exception:  # noqa: BLE001 without this thread, nothing is collected any more
                extra = {"action": "blobs.collection_failed"}
                _log.exception("a collection failed unexpectedly", extra=extra)

    def _run(self) -> None:
        if self._only_copies:
            self._collector.drop_copies()
        else:
            self._collector.run(self._grace_s)
