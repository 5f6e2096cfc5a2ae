"""Suppresses repeated log lines: an event that occurs thousands of times a second is logged a few
times, with the number of repetitions. Knows no format.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_MAX_KINDS = 1000


class RepeatFilter(logging.Filter):
    """Passes at most `most` warnings and errors with the same sentence in `window_s`. The next line
    that passes has the fact `repeated`, the number of lines that were suppressed before it. Lines
    below a warning always pass.
    """

    def __init__(
        self, most: int = 10, window_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most, self._window_s, self._clock = most, window_s, clock
        self._lock = threading.Lock()
        #: by kind of line: start of its window, lines logged in it, lines suppressed
        self._seen: dict[tuple[str, int, str], tuple[float, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        # without the arguments of the sentence, which a caller may choose
        kind = (record.name, record.levelno, str(record.msg)[:200])
        with self._lock:
            began, num_logged, held_back = self._window(kind)
            if num_logged >= self._most:
                self._seen[kind] = (began, num_logged, held_back + 1)
                return False
            self._seen[kind] = (began, num_logged + 1, 0)
        if held_back:
            record.repeated = held_back
        return True

    def _window(self, kind: tuple[str, int, str]) -> tuple[float, int, int]:
        now = self._clock()
        began, num_logged, held_back = self._seen.get(kind, (now, 0, 0))
        if kind not in self._seen and len(self._seen) >= _MAX_KINDS:
            self._seen.clear()
        return (
            (began, num_logged, held_back) if now - began < self._window_s else (now, 0, held_back)
        )
