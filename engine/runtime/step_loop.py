"""Runs the steps of a queue on an engine, one at a time, and calls within training that pauses.

Knows no socket and no future: each result goes to `answer`. What a step reads or writes is done
beside the loop (`side_work.py`), which only takes what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine import port
from engine.engine import Engine, NextCall
from engine.runtime.side_work import SideWork
from engine.runtime.step_queue import StepQueue

#: what becomes of a step's result; False once nobody listens any more
Answer = Callable[[port.Envelope, port.Result], bool]


class StepLoop:
    """One thread runs it, which owns the engine."""

    def __init__(self, engine: Engine, inbox: StepQueue, side: SideWork, answer: Answer) -> None:
        self._engine, self._inbox, self._side, self._answer = engine, inbox, side, answer
        self._listening = True
        #: what ended the engine within a pause; the training around it must not take it for its own
        self._fatal: BaseException | None = None

    def run(self) -> None:
        """Until the queue ends or nobody listens. Raises what is a bug of the engine."""
        self._engine.enter_loop()
        while self._listening and (envelope := self._inbox.next()) is not None:
            self._run(envelope, self._next_call if port.is_background(envelope.body) else None)
            if self._fatal is not None:
                raise self._fatal

    def _run(self, envelope: port.Envelope, pause: NextCall | None = None) -> None:
        prepared = self._side.take(envelope)
        result = self._engine.run(envelope.body, pause, prepared)  # type: ignore[arg-type]
        if self._fatal is not None:
            return
        if callable(result):
            self._side.write(envelope, result)
        else:
            self._listening = self._listening and self._answer(envelope, result)

    def _next_call(self) -> Callable[[], None] | None:
        """Within a training step: what answers the call that goes before the rest of it."""
        if self._fatal is not None or not self._listening:
            return None
        envelope = self._inbox.next_call()
        return None if envelope is None else partial(self._run_call, envelope)

    def _run_call(self, envelope: port.Envelope) -> None:
        try:
            self._run(envelope)
        except BaseException as error:  # noqa: BLE001 raised by `run`, outside the training step
            self._fatal = error
