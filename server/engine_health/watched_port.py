"""The engine's port, with the times of its answers: a process that is alive may have stopped
computing. Knows no type of step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from engine.port import EngineInfo, EnginePort, Result, Step


class WatchedPort:
    """An `EnginePort` that notes when the engine last answered. Safe to use from any thread."""

    def __init__(self, port: EnginePort, clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._clock = clock
        self._lock = threading.Lock()
        self._num_waiting = 0
        #: when the engine last answered, or received a step while idle
        self._since = clock()

    @property
    def info(self) -> EngineInfo:
        return self._port.info

    @property
    def generation(self) -> int:
        return self._port.generation

    @property
    def pid(self) -> int:
        return self._port.pid

    @property
    def is_alive(self) -> bool:
        return self._port.is_alive

    @property
    def silent_s(self) -> float:
        """How long the engine has had steps and answered none."""
        with self._lock:
            return self._clock() - self._since if self._num_waiting else 0.0

    @property
    def idle_s(self) -> float:
        """How long the engine has had no steps."""
        with self._lock:
            return 0.0 if self._num_waiting else self._clock() - self._since

    def submit(self, step: Step) -> Future[Result]:
        with self._lock:
            if not self._num_waiting:
                self._since = self._clock()
            self._num_waiting += 1
        future = self._port.submit(step)
        future.add_done_callback(self._note_result)
        return future

    def close(self) -> None:
        self._port.close()

    def _note_result(self, future: Future[Result]) -> None:
        with self._lock:
            self._num_waiting -= 1
            if not future.cancelled():  # a cancelled future is no answer of the engine
                self._since = self._clock()
