"""The port with the engine in a thread of this process: for tests, notebooks and benchmarks.

Imports torch.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.errors import EngineGone
from engine.runtime.side_work import SideWork
from engine.runtime.step_loop import StepLoop
from engine.runtime.step_queue import StepQueue


class ThreadEngine:
    """An `EnginePort` that shares this process's interpreter with its caller."""

    generation = 1

    def __init__(self, config: EngineConfig) -> None:
        self._engine = Engine(config)
        self.info: port.EngineInfo = self._engine.info
        self._inbox = StepQueue(config.training_share)
        self._side = SideWork(
            self._inbox, self._engine.prepare, self._engine.enter_side, config.reader_threads
        )
        self._futures: dict[int, Future[port.Result]] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return os.getpid()

    @property
    def is_alive(self) -> bool:
        return not self._closed

    def submit(self, step: port.Step) -> Future[port.Result]:
        future: Future[port.Result] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(EngineGone("the engine is closed"))
                return future
            self._number += 1
            self._futures[self._number] = future
            self._side.put(port.Envelope(self._number, step))
        return future

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        with self._lock:
            self._closed = True
        self._inbox.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            StepLoop(self._engine, self._inbox, self._side, self._settle).run()
        finally:  # a bug in the engine ends it here too, and nobody may wait for ever
            self._end()

    def _settle(self, step: port.Envelope, result: port.Result) -> bool:
        future = self._futures.pop(step.number)
        if future.set_running_or_notify_cancel():
            port.settle(future, result)
        return True

    def _end(self) -> None:
        with self._lock:
            self._closed = True
        self._side.close()
        for future in self._futures.values():
            if not future.cancelled():
                future.set_exception(EngineGone())
