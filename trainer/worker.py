"""The thread that runs jobs one after the other, and goes on whatever happens to it. Knows the
trainer and when to stop; nothing of what a job is.
"""

from __future__ import annotations

import logging
import threading

from adapters_registry.errors import RegistryError
from engine.errors import EngineError
from trainer.errors import TrainerError
from trainer.trainer import Trainer

_log = logging.getLogger(__name__)
_UNFORESEEN = "internal: the trainer failed with an internal error; see the server's log"


class Worker:
    """Runs whatever the trainer's store has to run, jobs lost by other workers included.

    After a failure that no job is to blame for it tries again, each time after a longer pause, and
    `problem` says what failed until something succeeds.
    """

    def __init__(
        self,
        trainer: Trainer,
        idle_s: float = 2.0,
        *,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
    ) -> None:
        self._trainer = trainer
        self._idle_s = idle_s
        self._first_pause_s, self._longest_pause_s = first_pause_s, longest_pause_s
        self._stop = threading.Event()
        self._started = False
        self._problem: str | None = None
        #: failures that no job is to blame for, since the start
        self.num_failures = 0
        self._thread = threading.Thread(target=self._work, name="trainer", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why no job is run here now, as code and sentence; None where jobs are run, or none were
        to be.
        """
        if self._started and not self._stop.is_set() and not self._thread.is_alive():
            return "internal: the trainer's thread has ended; restart the process"
        return self._problem

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """The running job goes back to the queue, to start anew with the next worker."""
        self._stop.set()
        self._trainer.submitted.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        pause_s = self._first_pause_s
        while not self._stop.is_set():
            self._trainer.submitted.clear()
            try:
                found_one = self._trainer.run_once(self._stop)
            except BaseException as error:  # noqa: BLE001 every tenant's jobs wait for this thread
                self._record_failure(error)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, self._longest_pause_s)
                continue
            self._problem, pause_s = None, self._first_pause_s
            if not found_one:
                self._trainer.submitted.wait(self._idle_s)

    def _record_failure(self, error: BaseException) -> None:
        self.num_failures += 1
        extra = {"action": "worker.failed"}
        if isinstance(error, TrainerError | RegistryError | EngineError):
            # the sentence of the kind alone: whoever asks for the health has no key
            kind = " ".join(str(type(error).__doc__).split())
            self._problem = f"{error.code}: {kind}"
            _log.warning("no job could be run: %s", error, extra=extra)
        else:
            self._problem = _UNFORESEEN
            _log.error("no job could be run", exc_info=error, extra=extra)
