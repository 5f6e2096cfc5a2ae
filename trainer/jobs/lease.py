"""The lease of a claimed job: heartbeats write progress and events to the store and read what the
job's owner asks for.

The run itself only sets and reads memory here, so that no training step waits for the database.
"""

from __future__ import annotations

import json
import logging
import threading
from types import TracebackType
from typing import Any

from trainer.errors import Cancelled, LeaseLost, Paused, Stopping, StorageFailed
from trainer.jobs.events import Event
from trainer.jobs.states import JobSignal, Phase
from trainer.jobs.store import JobStore
from trainer.jobs.values import Claim

_log = logging.getLogger(__name__)

#: how long the end of a run waits for a heartbeat that has begun
_CLOSE_S = 15.0
#: the share of the whole job's progress at which each phase begins
_STARTS = {
    Phase.VALIDATING: 0.0,
    Phase.TOKENIZING: 0.01,
    Phase.SEARCHING: 0.03,
    Phase.TRAINING: 0.03,
    Phase.EVALUATING: 0.90,
    Phase.REPORTING: 0.93,
    Phase.PUBLISHING: 0.97,
    Phase.DONE: 1.0,
}


class Lease:
    """A context manager that keeps the claim while it is open. `check` raises what ends the run."""

    def __init__(
        self, store: JobStore, claim: Claim, *, lease_s: float, poll_s: float, stop: threading.Event
    ) -> None:
        self._store, self._claim = store, claim
        self._lease_s, self._poll_s = lease_s, poll_s
        self._stop = stop
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._pending_values: dict[str, Any] = {}
        self._pending_events: list[Event] = []
        self._phase = Phase.VALIDATING
        self._signal: JobSignal | None = None
        self._lost = False
        self._thread = threading.Thread(
            target=self._beat, name=f"lease-{claim.job.id}", daemon=True
        )

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():  # the database is silent; the lease expires
            _log.warning("the last heartbeat was not answered", extra=self._facts())
        elif self._pending_events:  # before the job ends, because an ended job takes no more events
            self._tick()

    @property
    def claim(self) -> Claim:
        return self._claim

    @property
    def pause_requested(self) -> bool:
        """Whether the job's owner asked to pause it; `check` raises then."""
        return self._signal is JobSignal.PAUSE

    def emit(self, code: str, message: str, level: str = "info", **data: Any) -> None:
        """Add an event to the job; the next heartbeat stores it. `data` is JSON."""
        now = self._store.clock()
        # data that is not JSON fails here, at its call; numbers that are not finite become null
        plain = json.loads(json.dumps(data), parse_constant=lambda _name: None)
        event = Event(code=code, message=message, created_at=now, level=level, data=plain)
        with self._lock:
            self._pending_events.append(event)

    def enter(self, phase: Phase, **values: Any) -> None:
        """Begin a phase: stored at once, with a check for a request to end or pause the job."""
        if self._phase is not Phase.SEARCHING:  # training after a search continues its progress
            values = {"progress": _STARTS[phase], "eta_s": None, **values}
        self._phase = phase
        self.emit(f"phase.{phase}", f"{phase.capitalize()}.")
        self._set(phase=phase, **values)
        self._tick()
        self.check()

    def advance(self, share: float, eta_s: float | None = None) -> None:
        """Set the done share of the phase; the next heartbeat stores it."""
        self.check()
        start = _STARTS[self._phase]
        end = min(each for each in _STARTS.values() if each > start)
        self._set(progress=start + (end - start) * share, eta_s=eta_s)

    def check(self) -> None:
        """Raises Cancelled, LeaseLost, Paused or Stopping."""
        if self._lost:
            raise LeaseLost
        if self._signal is JobSignal.CANCEL:
            raise Cancelled
        if self._signal is JobSignal.PAUSE:
            raise Paused
        if self._stop.is_set():
            raise Stopping

    def confirm(self) -> None:
        """Like `check`, but asks the store: before a step that cannot be undone. Raises
        StorageFailed too.
        """
        self._store.beat(self._claim, self._lease_s)
        self.check()

    def _set(self, **values: Any) -> None:
        with self._lock:
            self._pending_values.update(values)

    def _beat(self) -> None:
        while not self._ended.wait(self._poll_s):
            self._tick()

    def _take_pending(self) -> tuple[list[Event], dict[str, Any]]:
        with self._lock:
            events, values = self._pending_events, self._pending_values
            self._pending_events, self._pending_values = [], {}
        return events, values

    def _beat_with(self, events: list[Event], values: dict[str, Any]) -> JobSignal | None:
        try:
            return self._store.beat(self._claim, self._lease_s, events, **values)
        except StorageFailed:
            with self._lock:  # for the next heartbeat; newer values win, newer events come later
                self._pending_events, self._pending_values = (
                    [*events, *self._pending_events],
                    {**values, **self._pending_values},
                )
            raise

    def _tick(self) -> None:
        try:
            with self._writing:  # one at a time, so that older values never overwrite newer ones
                self._signal = self._beat_with(*self._take_pending())
        except LeaseLost:
            self._lost = True
        except StorageFailed as error:
            # if the lease expires meanwhile, its token keeps this run from ending the job
            _log.warning("a heartbeat was not stored: %s", error, extra=self._facts())
        except Exception:  # noqa: BLE001 a job whose lease expires is run twice
            # its events and values are lost; later heartbeats must still be sent
            _log.exception("a heartbeat failed unexpectedly", extra=self._facts())

    def _facts(self) -> dict[str, str]:
        job = self._claim.job
        return {"action": "job.beat", "tenant": job.tenant, "job": job.id}
