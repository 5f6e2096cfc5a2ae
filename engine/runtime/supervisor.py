"""The port across a process boundary: spawns the engine, supervises it and restarts it when it
dies.

No torch in this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, replace

import msgspec

from engine import port
from engine.config import EngineConfig
from engine.errors import ERRORS, BadBase, EngineError, EngineGone
from engine.runtime.framing import receive_frame, send_frame

#: a base that dies this soon after starting will not get better by trying faster
_RESTART_PAUSE_S = 1.0


class SupervisedEngine:
    """An `EnginePort` whose engine comes back when it dies.

    Steps in flight then raise `EngineGone`, and `generation` grows. Raises the engine's own error
    (`BadBase`) when the first start fails.
    """

    def __init__(self, config: EngineConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._sleep = sleep
        self._lock = threading.Lock()
        self._futures: dict[int, Future[port.Result]] = {}
        self._number = 0
        self._closed = False
        self._alive = True
        self.generation = 1
        self._child, self._socket = _spawn(config)
        #: a restarted engine's socket until it has greeted
        self._starting: socket.socket | None = None
        self.info: port.EngineInfo = self._greet()
        self._reader = threading.Thread(target=self._supervise, name="engine-port", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return self._alive

    def submit(self, step: port.Step) -> Future[port.Result]:
        future: Future[port.Result] = Future()
        with self._lock:
            self._number += 1
            frame = port.encode(port.Envelope(self._number, step))
            self._futures[self._number] = future
            try:
                if self._closed:
                    raise ConnectionError
                send_frame(self._socket, frame)
            except OSError:  # it died and is not back yet
                self._alive = False
                del self._futures[self._number]
                future.set_exception(EngineGone())
        return future

    def close(self) -> None:
        """Hang up; the engine finishes the step it runs and exits."""
        with self._lock:
            self._closed, self._alive = True, False
            _hang_up(self._socket)
            if self._starting is not None:
                _hang_up(self._starting)
        self._reader.join()
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _greet(self) -> port.EngineInfo:
        frame = receive_frame(self._socket)
        body = port.decode(frame).body if frame is not None else None
        if isinstance(body, port.EngineInfo):
            return body
        self._socket.close()
        status = self._child.wait()
        if isinstance(body, port.Failure):
            raise ERRORS.get(body.code, EngineError)(body.message)
        raise BadBase(f"the engine ended with status {status} while it loaded {self._config.base}")

    def _supervise(self) -> None:
        self._deliver()
        while not self._closed:
            self._lose()
            self._child.wait()
            self._revive()
            self._deliver()
        self._lose()
        self._socket.close()

    def _deliver(self) -> None:
        """Until the engine hangs up, or says what cannot be read: then it cannot be trusted."""
        with contextlib.suppress(ValueError, msgspec.DecodeError):
            while (frame := receive_frame(self._socket)) is not None:
                envelope = port.decode(frame)
                with self._lock:
                    future = self._futures.pop(envelope.number, None)
                if future is not None and future.set_running_or_notify_cancel():
                    port.settle(future, envelope.body)  # type: ignore[arg-type]

    def _lose(self) -> None:
        """Everything in flight is lost, and so is everything that was loaded."""
        with self._lock:
            self.generation += 1
            self._alive = False
            lost, self._futures = self._futures, {}
            _hang_up(self._socket)
        for future in lost.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(EngineGone())

    def _revive(self) -> None:
        while (sock := self._restart()) is not None:
            if self._is_the_same(sock):
                with self._lock:
                    old, self._socket, self._starting = self._socket, sock, None
                    self._alive = not self._closed
                old.close()
                return
            with self._lock:
                self._starting = None
            sock.close()
            self._child.wait()
            self._sleep(_RESTART_PAUSE_S)

    def _is_the_same(self, sock: socket.socket) -> bool:
        """Whether what came back computes what was lost: versions answer by that base alone."""
        with contextlib.suppress(ValueError, msgspec.DecodeError):
            frame = receive_frame(sock)
            info = port.decode(frame).body if frame is not None else None
            return isinstance(info, port.EngineInfo) and _computes(info) == _computes(self.info)
        return False

    def _restart(self) -> socket.socket | None:
        """A fresh engine's socket, which `close` hangs up on too; None once closed."""
        with self._lock:
            if self._closed:
                return None
            # as it ran before: measuring anew might choose another precision, or another device
            chosen = replace(self._config, device=self.info.device, dtype=self.info.dtype)
            self._child, self._starting = _spawn(chosen)
            return self._starting


def _computes(info: port.EngineInfo) -> tuple[str, str]:
    return info.fingerprint, info.dtype


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _spawn(config: EngineConfig) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(  # noqa: S603 (our own interpreter, our own module)
            # -P: a folder `engine` where the server happens to run is not meant
            [
                sys.executable,
                "-P",
                "-m",
                "engine",
                str(theirs.fileno()),
                json.dumps(asdict(config)),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=_environment(config),
        )
    return child, ours


def _environment(config: EngineConfig) -> dict[str, str]:
    """What must be set before torch loads. Our own import path travels along.

    OpenMP's threads spin between products, by default for so long that beside another busy process
    on the same cores a batch took many times longer; sleeping at once costs more on a quiet machine
    (`benchmarks/results.md`).
    """
    env = {
        "GOMP_SPINCOUNT": "5000",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return env | {"OMP_NUM_THREADS": str(config.threads)} if config.threads else env
