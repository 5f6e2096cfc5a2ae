"""`python -m tests.server.serve_fake DIRECTORY`: a whole server process over a slow fake engine."""

from __future__ import annotations

import logging
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

from engine import port
from engine.testing.fake_engine import FakeEngine
from server.main import run
from tests.server.build import settings

STEP_S = 0.02


class SlowEngine(FakeEngine):
    """Answers predict steps a while later, from another thread, as a real engine does."""

    def submit(self, step: port.Step) -> Future[port.Result]:
        if not isinstance(step, port.Predict):
            return super().submit(step)
        later: Future[port.Result] = Future()
        done = super().submit(step)
        threading.Timer(STEP_S, lambda: later.set_result(done.result())).start()
        return later


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    run(settings(Path(sys.argv[1])), SlowEngine())
