"""The engine's process: `python -m engine FD CONFIG`, started only by `engine.runtime.supervisor`.

Receives steps over the socket FD and answers each with its result.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial

from engine import port
from engine.config import EngineConfig
from engine.errors import EngineError
from engine.logs.setup import log_to_stderr
from engine.runtime.framing import receive_frame, send_frame
from engine.runtime.step_queue import StepQueue


def main() -> int:
    """Exit status 0 when the parent hung up, 3 when the base cannot be loaded."""
    # Ctrl-C and an init system's SIGTERM reach the whole group; the parent still has calls to
    # answer then, and decides when the engine stops
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.umask(0o077)  # files, those of libraries too, are readable by their owner only
    sock = socket.socket(fileno=int(sys.argv[1]))
    config = EngineConfig(**json.loads(sys.argv[2]))
    log_to_stderr(config.log_format)
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TQDM_DISABLE"] = "1"  # reading a GGUF file draws a progress bar of its own
    from engine.engine import Engine  # torch comes in here, in this process only
    from engine.runtime.side_work import SideWork
    from engine.runtime.step_loop import StepLoop

    try:
        engine = Engine(config)
    except EngineError as error:
        _send(sock, 0, port.Failure(code=error.code, message=str(error)))
        return 3
    inbox = StepQueue(config.training_share)
    side = SideWork(inbox, engine.prepare, engine.enter_side, config.reader_threads)
    threading.Thread(target=_receive, args=(sock, side.put, inbox), daemon=True).start()
    try:
        if _send(sock, 0, engine.info):
            StepLoop(engine, inbox, side, partial(_answer, sock)).run()
    finally:
        side.close()
    return 0


def _answer(sock: socket.socket, step: port.Envelope, result: port.Result) -> bool:
    return _send(sock, step.number, result)


def _send(sock: socket.socket, number: int, result: port.Result) -> bool:
    """Whether the parent still listens."""
    try:
        send_frame(sock, _encode(number, result))
    except ConnectionError:
        return False
    return True


def _encode(number: int, result: port.Result) -> bytes:
    """A result that cannot be encoded fails its own step; it must not end the engine."""
    try:
        return port.encode(port.Envelope(number, result))
    except (ValueError, OverflowError, RecursionError) as error:
        code, message = EngineError.code, f"the result cannot be sent: {error}"
        if isinstance(result, port.Failure):
            code, message = result.code, result.message
        ascii_message = message.encode("ascii", "backslashreplace").decode()
        return port.encode(port.Envelope(number, port.Failure(code=code, message=ascii_message)))


def _receive(sock: socket.socket, put: Callable[[port.Envelope], None], inbox: StepQueue) -> None:
    try:
        while (frame := receive_frame(sock)) is not None:
            put(port.decode(frame))
    finally:  # on a frame that cannot be read too: an engine nobody can reach must end
        inbox.close()


if __name__ == "__main__":
    sys.exit(main())
