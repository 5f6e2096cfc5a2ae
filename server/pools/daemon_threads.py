"""Threads that the end of the process does not wait for for ever, unlike those of the standard
library's pool: what they wait for, such as a database that is silent, may never answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

_Call = tuple[Future[Any], Callable[[], Any]]
_CLOSE_S = 2.0


class DaemonThreads(Executor):
    """At most `places` of them, each made when it is first needed."""

    def __init__(self, places: int, name: str) -> None:
        self._places, self._name = places, name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._num_busy = 0
        self._is_closed = False

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Raises RuntimeError once it is closed."""
        future: Future[Any] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the threads were closed")
            self._num_busy += 1
            if self._num_busy > len(self._threads) < self._places:
                name = f"{self._name}_{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()
            self._calls.put((future, lambda: work(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What has begun gets a moment to end, with `wait`; then it is left behind."""
        del cancel_futures  # whoever submits has a thread for each call
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._calls.put(None)
        until = time.monotonic() + _CLOSE_S
        for thread in self._threads if wait else ():
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, work = call
            if future.set_running_or_notify_cancel():
                self._answer(future, work)
            del call, future, work  # nothing of a caller's stays here

    def _answer(self, future: Future[Any], work: Callable[[], Any]) -> None:
        try:
            answer = work()
        except BaseException as error:  # noqa: BLE001 it is the caller's
            self._leave()
            future.set_exception(error)
        else:
            self._leave()
            future.set_result(answer)

    def _leave(self) -> None:
        with self._lock:
            self._num_busy -= 1
