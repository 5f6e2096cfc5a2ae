"""The training process, started only by `TrainingProcess`.

Reads its settings from the first line of stdin and stops when stdin ends, so that it does not
outlive the server. Each line of stdout says what keeps it from running jobs.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TextIO

from engine.logs.setup import log_to_stderr
from server.config import Settings
from server.errors import StartFailed
from server.worker import work
from trainer.worker import Worker

_log = logging.getLogger(__name__)
#: of the process and its engine: calls go first where cores are short
_NICENESS = 10


def main() -> int:
    # Ctrl-C and an init system's SIGTERM reach the whole group; the server decides when this stops
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    reports = Reports(_take_stdout())
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    os.umask(0o077)
    os.nice(_NICENESS)
    log_to_stderr(settings.log_format)
    stop_requested = threading.Event()
    threading.Thread(target=_await_end, args=(stop_requested,), daemon=True).start()
    try:
        work(settings, stop_requested, on_look=reports.look)
    except StartFailed as error:
        _log.error("%s", error, extra={"action": "worker.not_started"})
        reports.fail(error)
        return 2
    return 0


class Reports:
    """Says what changed of a worker's state since the last look, or why there is none."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: tuple[str | None, int] | None = None

    def look(self, worker: Worker) -> None:
        now = worker.problem, worker.num_failures
        if now != self._last:
            before = self._last[1] if self._last is not None else 0
            self.say(worker.problem, worker.num_failures - before)
            self._last = now

    def fail(self, error: StartFailed) -> None:
        # the sentence of the kind alone: whoever asks for the health has no key
        kind = " ".join(str(type(error).__doc__).split())
        self.say(f"{error.code}: {kind}", 0)

    def say(self, problem: str | None, new_failures: int) -> None:
        line = json.dumps({"problem": problem, "new_failures": new_failures})
        with suppress(BrokenPipeError):  # the server is gone, and stdin ends next
            self._out.write(f"{line}\n")
            self._out.flush()


def _take_stdout() -> TextIO:
    """For the reports alone: what libraries print goes to stderr."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out


def _await_end(stop_requested: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop_requested.set()


if __name__ == "__main__":
    sys.exit(main())
