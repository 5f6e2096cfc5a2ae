"""The process that children are forked from (`python -m trainer.sandbox.forked MODULE…`). It loads
modules once and then only forks; it reads nothing of what its children are given.

A request consists of two sockets. Over the first, the child receives the function's name, its
limits and its argument, and sends the answer. The second tells whether the parent is alive: when
the parent closes it or dies, the child is killed. How the child ended is sent to the parent over
it.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import msgspec

from engine.runtime.framing import receive_frame, send_frame
from trainer.sandbox.errors import ErrorRecord, error_record
from trainer.sandbox.limits import ChildLimits

#: these children are worth less than whatever serves beside them
NICENESS = 10
_TICK_S = 0.05
#: a child is one processor's worth of work; read by libraries as they are loaded
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A function of ours, `module:name`, from bytes to bytes."""

    function: str
    limits: ChildLimits
    argument: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the function returned, or what it raised; `out_of_memory` where it had too little."""

    value: bytes = b""
    error: ErrorRecord | None = None
    out_of_memory: bool = False


_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
_OUT_OF_MEMORY = _encode(Answer(out_of_memory=True))


def main() -> None:
    control = socket.socket(fileno=0)
    os.nice(NICENESS)
    for name in _ONE_THREAD:
        os.putenv(name, "1")
    os.putenv("TOKENIZERS_PARALLELISM", "0")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it, and decides
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()
    # whoever supervises a child is nobody's to wait for
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _supervise(*(socket.socket(fileno=descriptor) for descriptor in descriptors))
        for descriptor in descriptors:
            os.close(descriptor)


def _supervise(channel: socket.socket, hold: socket.socket) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        hold.close()
        _answer(channel)
    channel.close()
    # looked at without being waited for: until then nobody else can get its number
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if select.select([hold], [], [], _TICK_S)[0]:
            break
    _kill(child)  # and what it started itself
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        hold.sendall(status.to_bytes(4, "big"))
    os._exit(0)


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(child, signal.SIGKILL)


def _answer(channel: socket.socket) -> NoReturn:
    """In the child."""
    os.setpgid(0, 0)
    code = 1
    try:
        question = msgspec.msgpack.decode(receive_frame(channel) or b"", type=Question)
        question.limits.apply()
        send_frame(channel, _encoded_answer(question))
        code = 0
    except BaseException as error:  # noqa: BLE001 a fork must never go on as what it was forked from
        with suppress(BaseException):
            sys.excepthook(type(error), error, error.__traceback__)
    os._exit(code)


def _encoded_answer(question: Question) -> bytes:
    try:
        module, _, name = question.function.partition(":")
        function: Callable[[bytes], bytes] = getattr(importlib.import_module(module), name)
        return _encode(Answer(value=function(question.argument)))
    except MemoryError:
        return _OUT_OF_MEMORY
    except Exception as error:
        if (record := error_record(error)) is None:
            raise
        return _encode(Answer(error=record))


if __name__ == "__main__":
    main()
