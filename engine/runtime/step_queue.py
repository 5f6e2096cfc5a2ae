"""The order in which steps run: training yields to everything else, but is never starved.

Pure bookkeeping behind a lock.
"""

from __future__ import annotations

import threading
from collections import deque

from engine.port import Envelope, Fill, Train


class StepQueue:
    """Two queues; training waits while other steps come, at most `patience` of them in a row."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._passed = 0
        self._steps: deque[Envelope] = deque()
        self._training: deque[Envelope] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, envelope: Envelope) -> None:
        with self._changed:
            in_training = isinstance(envelope.body, Train | Fill)
            (self._training if in_training else self._steps).append(envelope)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def next(self) -> Envelope | None:
        """The step to run now; waits for one. None once closed and empty."""
        with self._changed:
            while not (self._steps or self._training or self._closed):
                self._changed.wait()
            if self._training and (not self._steps or self._passed >= self._patience):
                self._passed = 0
                return self._training.popleft()
            if self._steps:
                self._passed += bool(self._training)
                return self._steps.popleft()
            return None
