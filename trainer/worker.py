"""The thread that runs jobs one after the other. Knows the trainer and when to stop; nothing of
what a job is.
"""

from __future__ import annotations

import logging
import threading

from trainer.errors import TrainerError
from trainer.trainer import Trainer

_log = logging.getLogger(__name__)


class Worker:
    """Runs whatever the trainer's store has to run, jobs lost by other workers included."""

    def __init__(self, trainer: Trainer, idle_s: float = 2.0) -> None:
        self._trainer = trainer
        self._idle_s = idle_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trainer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """The running job goes back to the queue, to start anew with the next worker."""
        self._stop.set()
        self._trainer.submitted.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._trainer.submitted.clear()
            if not self._run_once():
                self._trainer.submitted.wait(self._idle_s)

    def _run_once(self) -> bool:
        try:
            return self._trainer.run_once(self._stop)
        except TrainerError as error:
            _log.warning("no job could be run: %s", error, extra={"action": "worker.failed"})
            return False
