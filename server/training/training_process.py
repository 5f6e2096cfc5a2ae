"""Runs jobs in a process of its own, with an engine of its own, and starts it again when it ends.

Knows settings and a child process; nothing of jobs. The child is `server.training.training_child`.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from engine.port import EngineInfo
from server.config import Settings
from server.settings_sources import child_environment

_log = logging.getLogger(__name__)
# -P: a folder `server` where the server happens to run is not meant
_COMMAND = (sys.executable, "-P", "-m", "server.training.training_child")


def needs_training_process(settings: Settings, info: EngineInfo) -> bool:
    """Whether jobs run outside the engine that serves."""
    if settings.training_engine == "auto":
        return info.num_cores > 2 or info.num_devices > 1
    return settings.training_engine == "own"


class TrainingProcess:
    """As a `Worker`: runs jobs from `start` to `stop`, and says why none can run."""

    def __init__(
        self,
        settings: Settings,
        info: EngineInfo,
        *,
        command: Sequence[str] = _COMMAND,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
    ) -> None:
        self._settings, self._info, self._command = settings, info, command
        self._first_pause_s, self._longest_pause_s = first_pause_s, longest_pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._problem: str | None = None
        #: failures that no job is to blame for, since the start
        self.num_failures = 0
        self._thread = threading.Thread(target=self._supervise, name="trainer", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why no job is run now, as code and sentence."""
        return self._problem

    @property
    def pid(self) -> int | None:
        """The child's, while there is one."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """The running job goes back to the queue, to be continued by the next worker."""
        self._stop.set()
        with self._lock:
            child = self._child
        if child is not None:
            assert child.stdin is not None
            with suppress(OSError):
                child.stdin.close()  # what the child takes for the order to stop
            try:
                child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _supervise(self) -> None:
        pause_s = self._first_pause_s
        while not self._stop.is_set():
            was_well, ended = self._run_child()
            if self._stop.is_set():
                return
            if was_well:
                pause_s = self._first_pause_s
            self.num_failures += 1
            self._problem = self._problem or f"internal: {ended}; it is started again"
            _log.warning("%s", ended, extra={"action": "worker.failed"})
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, self._longest_pause_s)

    def _run_child(self) -> tuple[bool, str]:
        """Whether it came to run jobs, and how it ended."""
        was_well = False
        try:
            child = self._spawn()
            if child is None:
                return was_well, "the training process was stopped"
            with child:
                was_well = self._follow(child)
                status = child.wait()
        except OSError as error:  # of a machine without memory or descriptors for another process
            return was_well, f"the training process could not be started ({error.strerror})"
        return was_well, f"the training process ended with status {status}"

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        """None once stopped. The child runs where the server does: paths may be relative. Raises
        OSError.
        """
        with self._lock:
            if self._stop.is_set():
                return None
            self._child = subprocess.Popen(  # noqa: S603 our own interpreter, our own module
                self._command,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                env=child_environment(),
            )  # fmt: skip
            assert self._child.stdin is not None
            with suppress(OSError):  # it has ended already, and is waited for next
                self._child.stdin.write(self._child_settings().model_dump_json().encode() + b"\n")
            return self._child

    def _follow(self, child: subprocess.Popen[bytes]) -> bool:
        """What the child says of itself, until it ends; whether it came to run jobs. One that says
        what is no report cannot be followed, and is ended.
        """
        assert child.stdout is not None
        was_well = False
        for line in child.stdout:
            try:
                report = json.loads(line)
            except ValueError:
                child.kill()
                break
            self._problem = report["problem"]
            self.num_failures += report["new_failures"]
            was_well = was_well or self._problem is None
        return was_well

    def _child_settings(self) -> Settings:
        """Half of the cores, unless somebody chose: calls keep all of them, and go first. Another
        device, where there is one. The precision is the server's: versions answer what their
        evaluation saw.
        """
        info = self._info
        threads = self._settings.threads or max(1, info.num_cores // 2)
        chosen = {"threads": threads, "device": next_device(info), "dtype": info.dtype}
        return self._settings.model_copy(update=chosen)


def next_device(info: EngineInfo) -> str:
    """The one after the device of this engine; its own where there is no other."""
    kind, _, number = info.device.partition(":")
    return f"{kind}:{(int(number) + 1) % info.num_devices}" if number else kind
