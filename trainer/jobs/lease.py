"""A claimed job's tie to the store while it runs: beats, carries progress and events out, and
brings in what the owner asks for.

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

#: where each phase begins on the whole job's bar
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
    """A context: inside it the job stays ours. `check` raises what should end the run."""

    def __init__(
        self, store: JobStore, claim: Claim, *, lease_s: float, poll_s: float, stop: threading.Event
    ) -> None:
        self._store, self._claim = store, claim
        self._lease_s, self._poll_s = lease_s, poll_s
        self._stop = stop
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._news: dict[str, Any] = {}
        self._told: list[Event] = []
        self._phase = Phase.VALIDATING
        self._wish: JobSignal | None = None
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
        self._thread.join()
        if self._told:  # before the job ends: then nothing more is told of it
            self._tick()

    @property
    def claim(self) -> Claim:
        return self._claim

    @property
    def pause_requested(self) -> bool:
        """Whether the job's owner wants it paused; `check` says so too, by raising."""
        return self._wish is JobSignal.PAUSE

    def emit(self, code: str, message: str, level: str = "info", **data: Any) -> None:
        """An event of the job; reaches the store with the next beat. `data` is JSON."""
        now = self._store.clock()
        # what is no JSON fails here, where it was said; a number that is not finite has no word
        plain = json.loads(json.dumps(data), parse_constant=lambda _name: None)
        event = Event(code=code, message=message, created_at=now, level=level, data=plain)
        with self._lock:
            self._told.append(event)

    def enter(self, phase: Phase, **news: Any) -> None:
        """Begin a phase: written at once, and the last look before it whether the job is still
        wanted.
        """
        if self._phase is not Phase.SEARCHING:  # after it the bar goes on from where it is
            news = {"progress": _STARTS[phase], "eta_s": None, **news}
        self._phase = phase
        self.emit(f"phase.{phase}", f"{phase.capitalize()}.")
        self._set(phase=phase, **news)
        self._tick()
        self.check()

    def advance(self, share: float, eta_s: float | None = None) -> None:
        """How far the phase is; reaches the store with the next beat."""
        self.check()
        start = _STARTS[self._phase]
        end = min(each for each in _STARTS.values() if each > start)
        self._set(progress=start + (end - start) * share, eta_s=eta_s)

    def check(self) -> None:
        """Raises Cancelled, LeaseLost, Paused or Stopping."""
        if self._lost:
            raise LeaseLost
        if self._wish is JobSignal.CANCEL:
            raise Cancelled
        if self._wish is JobSignal.PAUSE:
            raise Paused
        if self._stop.is_set():
            raise Stopping

    def confirm(self) -> None:
        """As `check`, but asks the store itself: before what cannot be taken back. Raises
        StorageFailed too.
        """
        self._store.beat(self._claim, self._lease_s)
        self.check()

    def _set(self, **news: Any) -> None:
        with self._lock:
            self._news.update(news)

    def _beat(self) -> None:
        while not self._ended.wait(self._poll_s):
            self._tick()

    def _gathered(self) -> tuple[list[Event], dict[str, Any]]:
        with self._lock:
            told, news = self._told, self._news
            self._told, self._news = [], {}
        return told, news

    def _beat_with(self, told: list[Event], news: dict[str, Any]) -> JobSignal | None:
        try:
            return self._store.beat(self._claim, self._lease_s, told, **news)
        except StorageFailed:
            with self._lock:  # for the next beat, behind what came meanwhile
                self._told, self._news = [*told, *self._told], {**news, **self._news}
            raise

    def _tick(self) -> None:
        try:
            with self._writing:  # one at a time, so that older news never overwrites newer
                self._wish = self._beat_with(*self._gathered())
        except LeaseLost:
            self._lost = True
        except StorageFailed as error:
            # the lease may run out meanwhile; the token then keeps this run from ending the job
            _log.warning("a beat was not written: %s", error, extra=self._facts())
        except Exception:  # noqa: BLE001 a run whose lease is not kept is run twice
            # what it was to tell is lost; the beats after it must come all the same
            _log.exception("a beat failed unexpectedly", extra=self._facts())

    def _facts(self) -> dict[str, str]:
        job = self._claim.job
        return {"action": "job.beat", "tenant": job.tenant, "job": job.id}
