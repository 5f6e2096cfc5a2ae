"""Probes whether the engine computes, with a row for the bare base when there is no traffic.

Knows no transport and no adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from engine.errors import EngineError, EngineGone
from engine.port import Array, Predict, Predicted, Result, Row
from server.engine_health.watched_port import WatchedPort


class EngineProbe:
    """`look` is called regularly and never waits. It detects a stopped engine within `bound_s`:
    after a quarter of that time without an answer it sends a row, and it reports a problem if the
    engine has answered nothing for the rest.
    """

    def __init__(self, port: WatchedPort, ids: Sequence[int], bound_s: float) -> None:
        self._port = port
        self._step = Predict(rows=[Row.of(ids=list(ids), slot=0)])
        self._every_s = bound_s / 4
        self._most_silent_s = bound_s - self._every_s
        self._pending: Future[Result] | None = None
        self._failure: str | None = None

    def look(self) -> str | None:
        """Why the engine should get no calls; None if it computes."""
        self._read()
        # a step that reads or writes files is answered late by an engine that computes
        quiet_s = max(self._port.idle_s, self._port.silent_s)
        due = quiet_s >= self._every_s or self._failure is not None
        if self._pending is None and due and self._port.is_alive:
            self._pending = self._port.submit(self._step)
        silent_s = self._port.silent_s
        if silent_s > self._most_silent_s:
            return f"the engine has not answered for {silent_s:.0f} s"
        return self._failure

    def _read(self) -> None:
        if self._pending is None or not self._pending.done():
            return
        future, self._pending = self._pending, None
        try:
            result = future.result()
        except EngineGone:  # which the port reports
            self._failure = None
        except EngineError as error:
            self._failure = f"the engine cannot compute: {error.code}"
        else:
            computed = isinstance(result, Predicted) and isinstance(result.rows[0], Array)
            self._failure = None if computed else "the engine cannot compute a row"
