"""Runs functions in child processes with limits on memory, processor time and elapsed time; each
process ends with its function. Knows no function.

Children are forked from a process that has loaded their modules and never reads untrusted data, so
a child starts in milliseconds rather than the second that an interpreter and its imports take.
Unlike a thread, it can be killed, and its memory is freed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from engine.child_process import start_module
from engine.runtime.framing import receive_frame, send_frame
from trainer.sandbox.errors import error_of
from trainer.sandbox.forked import Answer, Question
from trainer.sandbox.limits import ChildLimits

_TICK_S = 0.05
#: what a child says, it says at once
_SEND_S = 10.0
_MAX_ANSWER_BYTES = 64 * 2**20


class End(StrEnum):
    """Why a child ended without an answer."""

    MEMORY = "memory"
    TIME = "time"
    CANCELLED = "cancelled"
    #: by somebody else: the machine's memory ended, or it is shutting down
    KILLED = "killed"
    #: by a signal of its own making, over what it read
    CRASHED = "crashed"
    #: by an error that is no refusal: a fault of ours
    FAILED = "failed"


class ChildEnded(Exception):
    """A child ended before it answered."""

    def __init__(self, end: End, limits: ChildLimits) -> None:
        super().__init__(f"the child ended without an answer: {end}")
        self.end = end
        self.limits = limits


class ForkServer:
    """Starts with the first question. Any thread may ask; each has a child of its own."""

    def __init__(self, modules: Sequence[str]) -> None:
        """`modules` are loaded before anything is asked."""
        self._modules = list(modules)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    @property
    def pid(self) -> int | None:
        return self._running and self._running[0].pid

    def run(
        self,
        function: str,
        argument: bytes,
        limits: ChildLimits,
        cancelled: threading.Event | None = None,
    ) -> bytes:
        """What `module:name` makes of the argument. Raises what it raises of our errors, and
        ChildEnded.
        """
        question = Question(function=function, limits=limits, argument=argument)
        channel, theirs = socket.socketpair()
        hold, their_hold = socket.socketpair()
        with channel, hold:
            with theirs, their_hold:
                self._fork(theirs, their_hold, limits)
            is_unwanted = [self._closing.is_set, *([cancelled.is_set] if cancelled else [])]
            answer = _ask(channel, hold, question, is_unwanted)
        if answer.out_of_memory:
            raise ChildEnded(End.MEMORY, limits)
        if answer.error is not None:
            raise error_of(answer.error)
        return answer.value

    def close(self) -> None:
        """Ends every child."""
        self._closing.set()
        with self._lock:
            self._stop()

    def _fork(self, channel: socket.socket, hold: socket.socket, limits: ChildLimits) -> None:
        descriptors = [channel.fileno(), hold.fileno()]
        with self._lock:
            if self._closing.is_set():
                raise ChildEnded(End.KILLED, limits)
            if self._running is None or self._running[0].poll() is not None:
                self._stop()
                self._running = self._start()
            socket.send_fds(self._running[1], [b"."], descriptors)

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            process = start_module("trainer.sandbox.forked", *self._modules, stdin=theirs.fileno())
        return process, ours

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            process, control = running
            control.close()
            process.kill()
            process.wait()


def _ask(
    channel: socket.socket,
    hold: socket.socket,
    question: Question,
    is_unwanted: Sequence[Callable[[], bool]],
) -> Answer:
    limits = question.limits
    deadline = time.monotonic() + limits.wall_s
    try:
        send_frame(channel, msgspec.msgpack.encode(question))
    except OSError:  # it is gone: how, is what is asked next
        raise ChildEnded(_end(hold), limits) from None
    while not select.select([channel], [], [], _TICK_S)[0]:
        if any(each() for each in is_unwanted):
            raise ChildEnded(End.CANCELLED, limits)
        if time.monotonic() > deadline:
            raise ChildEnded(End.TIME, limits)
    channel.settimeout(_SEND_S)
    try:
        frame = receive_frame(channel, _MAX_ANSWER_BYTES)
        if frame is not None:
            return msgspec.msgpack.decode(frame, type=Answer)
    except (OSError, ValueError) as error:
        raise ChildEnded(End.CRASHED, limits) from error
    raise ChildEnded(_end(hold), limits)


def _end(hold: socket.socket) -> End:
    hold.settimeout(_SEND_S)
    try:
        status = int.from_bytes(hold.recv(4), "big")
    except OSError:
        return End.KILLED
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    match number:
        case signal.SIGXCPU:
            return End.TIME
        case signal.SIGKILL:
            return End.KILLED
        case 0:
            return End.FAILED
        case signal.SIGABRT:  # so end libraries that get no memory and cannot say it
            return End.MEMORY
        case _:
            return End.CRASHED
