"""The order in which steps run: calls go before training, and training keeps a share of the time.

Pure bookkeeping behind a lock; measures with the clock it is given and runs nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from engine.port import Envelope, is_background

#: what a piece of training is taken to last before one was measured
_FIRST_PIECE_S = 0.05
#: for so long at most calls run without a piece because training ran while none waited
_ADVANCE_S = 5.0


class _Turn(Enum):
    NOBODY = auto()
    CALLS = auto()
    TRAINING = auto()


class StepQueue:
    """Two queues. A piece of training is what runs before the queue is asked again: a step, or the
    part of it up to a pause.

    Training gets at least `training_share` of the time: before a piece, calls run for
    (1 - share) / share times as long as the piece before took, and after a longer call several
    pieces run. While no calls wait it runs at once, and that counts: calls that come then wait for
    no piece but the one that runs, until they have had their part of that time, too.
    """

    def __init__(
        self, training_share: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._calls_per_piece = (1 - training_share) / training_share
        self._clock = clock
        self._steps: deque[Envelope] = deque()
        self._training: deque[Envelope] = deque()
        self._changed = threading.Condition()
        self._closed = False
        #: steps that others work at, and that come back
        self._num_expected = 0
        self._turn, self._turn_began = _Turn.NOBODY, 0.0
        self._piece_s = _FIRST_PIECE_S
        self._waits_since = 0.0
        #: how long calls have run while training waited, and were not paid back in pieces yet; less
        #: than nothing where pieces ran in advance
        self._passed_s = 0.0

    def put(self, envelope: Envelope) -> None:
        with self._changed:
            self._append(envelope)

    def expect(self) -> None:
        """A step will be put back: the queue does not end before."""
        with self._changed:
            self._num_expected += 1

    def put_back(self, envelope: Envelope) -> None:
        """One of those that were expected."""
        with self._changed:
            self._num_expected -= 1
            self._append(envelope)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def next(self) -> Envelope | None:
        """The step to run now; waits for one. None once closed and empty, and none expected."""
        with self._changed:
            self._end_turn(training_waits=bool(self._training))
            while not (self._steps or self._training or self._has_ended):
                self._changed.wait()
            if self._training and self._is_trainings_turn():
                self._begin_turn(_Turn.TRAINING)
                return self._training.popleft()
            if self._steps:
                self._begin_turn(_Turn.CALLS)
                return self._steps.popleft()
            return None

    def next_call(self) -> Envelope | None:
        """The step to run before a paused training step goes on; None where it goes on now."""
        with self._changed:
            self._end_turn(training_waits=True)
            if self._is_trainings_turn():
                self._begin_turn(_Turn.TRAINING)
                return None
            self._begin_turn(_Turn.CALLS)
            return self._steps.popleft()

    def _append(self, envelope: Envelope) -> None:
        if not is_background(envelope.body):
            self._steps.append(envelope)
        else:
            if not self._training:
                self._waits_since = self._clock()
            self._training.append(envelope)
        self._changed.notify()

    @property
    def _has_ended(self) -> bool:
        return self._closed and not self._num_expected

    def _is_trainings_turn(self) -> bool:
        return not self._steps or self._passed_s >= self._piece_s * self._calls_per_piece

    def _begin_turn(self, turn: _Turn) -> None:
        self._turn, self._turn_began = turn, self._clock()

    def _end_turn(self, *, training_waits: bool) -> None:
        now = self._clock()
        if self._turn is _Turn.TRAINING:
            self._piece_s = now - self._turn_began
            paid_s = self._piece_s * self._calls_per_piece
            self._passed_s = max(-_ADVANCE_S, self._passed_s - paid_s)
        elif self._turn is _Turn.CALLS and training_waits:
            self._passed_s += now - max(self._turn_began, self._waits_since)
        self._turn = _Turn.NOBODY
