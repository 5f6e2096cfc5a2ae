"""What of a step runs in threads beside the engine's loop: what it reads before its turn, and what
it writes after it.

Knows neither files nor tensors; of the steps, only which of them name one digest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from engine.engine import Prepared
from engine.port import Envelope, Inspect, Load, Unload
from engine.runtime.step_queue import StepQueue

#: how many steps that were read may wait for their turn; each may hold a whole adapter
_READ_AHEAD = 8


class SideWork:
    """Every step goes through it into the queue, those that read nothing at once.

    Steps of one digest keep their order, and while it is read it is not read a second time: whoever
    asks for it then gets the same outcome.
    """

    def __init__(
        self,
        inbox: StepQueue,
        prepare: Callable[[Load | Inspect], Prepared],
        enter: Callable[[], None],
        num_readers: int,
    ) -> None:
        """`enter` is called in each of the threads, all of which run when this returns."""
        self._inbox, self._prepare = inbox, prepare
        self._changed = threading.Condition()
        self._closed = False
        #: by the step's number; what was written takes no reader's place
        self._read_outcomes: dict[int, Future[Prepared]] = {}
        self._written: dict[int, Future[Prepared]] = {}
        #: what was asked of a digest since it is being read
        self._behind: dict[str, list[Envelope]] = {}
        self._readers = _start_threads("engine-reader", num_readers, enter)
        self._writer = _start_threads("engine-writer", 1, enter)

    def put(self, envelope: Envelope) -> None:
        step = envelope.body
        with self._changed:
            if self._closed:
                return
            if isinstance(step, Load | Unload) and step.digest in self._behind:
                self._inbox.expect()
                self._behind[step.digest].append(envelope)
            elif isinstance(step, Load | Inspect):
                self._inbox.expect()
                if isinstance(step, Load):
                    self._behind[step.digest] = []
                self._readers.submit(self._read, envelope, step)
            else:
                self._inbox.put(envelope)

    def write(self, envelope: Envelope, finish: Callable[[], Prepared]) -> None:
        """The step has another turn when `finish` has ended."""
        self._inbox.expect()
        self._writer.submit(self._finish, envelope, finish)

    def take(self, envelope: Envelope) -> Prepared | None:
        """What was done beside the loop for a step whose turn it is. Raises what that raised."""
        with self._changed:
            written = self._written.pop(envelope.number, None)
            outcome = self._read_outcomes.pop(envelope.number, written)
            self._changed.notify_all()
        return None if outcome is None else outcome.result()

    def close(self) -> None:
        """The loop has ended: nothing more is begun, and what runs is waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for threads in (self._readers, self._writer):
            threads.shutdown(wait=True, cancel_futures=True)

    def _read(self, envelope: Envelope, step: Load | Inspect) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._read_outcomes) < _READ_AHEAD)
            if self._closed:
                return
        outcome = _outcome_of(partial(self._prepare, step))
        with self._changed:
            behind = self._behind.pop(step.digest) if isinstance(step, Load) else []
            for next_one in (envelope, *behind):
                if not isinstance(next_one.body, Unload):
                    self._read_outcomes[next_one.number] = outcome
                self._inbox.put_back(next_one)

    def _finish(self, envelope: Envelope, finish: Callable[[], Prepared]) -> None:
        outcome = _outcome_of(finish)
        with self._changed:
            self._written[envelope.number] = outcome
            self._inbox.put_back(envelope)


def _outcome_of(call: Callable[[], Prepared]) -> Future[Prepared]:
    outcome: Future[Prepared] = Future()
    try:
        outcome.set_result(call())
    except BaseException as error:  # noqa: BLE001 raised in the loop, which it ends as a bug there
        outcome.set_exception(error)
    return outcome


def _start_threads(name: str, num_threads: int, enter: Callable[[], None]) -> ThreadPoolExecutor:
    """All of its threads run: none of them enters later, beside the loop."""
    threads = ThreadPoolExecutor(num_threads, name, enter)
    everyone = threading.Barrier(num_threads)
    for entered in [threads.submit(everyone.wait) for _ in range(num_threads)]:
        entered.result()
    return threads
