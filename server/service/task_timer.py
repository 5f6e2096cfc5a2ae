"""Reports the duration and the code of one call of a task, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from server.error_table import fault_of
from server.observers import PredictObserver


class TaskTimer:
    """Runs from its creation. As a context manager it ends with the block."""

    def __init__(
        self,
        observer: PredictObserver,
        tenant: str,
        task: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer, self._tenant, self._task, self._clock = observer, tenant, task, clock
        self._started = clock()
        self._ended = False

    def end(self, error: BaseException | None = None) -> None:
        """A second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self._observer.observe_task_call(
            tenant=self._tenant,
            task=self._task,
            code=_code(error),
            seconds=self._clock() - self._started,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)


def _code(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    # the caller disconnected or closed the stream before its end
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled"
    return fault_of(error).code
