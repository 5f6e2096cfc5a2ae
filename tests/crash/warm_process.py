"""A process that has loaded what actions need, and forks a child for each that is to die. Knows no
point and no check.
"""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_ACTION_S = 60.0

#: what an action calls when everything is open and the writes begin to count
Arm = Callable[[], None]


class ActionFailed(AssertionError):
    """The action raised an error, or did not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A kill, and the point that was about to be passed."""

    number: int
    point: str


class WarmProcess:
    """Starts in the constructor. One caller at a time."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            process_group=0,
        )
        self._pid = os.getpid()
        atexit.register(self.close)

    def run(
        self,
        act: Callable[[Any, Arm], object],
        site: object,
        die_at: int,
        *,
        every_statement: bool = False,
    ) -> Death | None:
        """How it died, or None where the action came to its end before that point."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        assert "<locals>" not in act.__qualname__, "an action is a function of its module"
        order = (act.__module__, act.__name__, die_at, every_statement, site)
        pickle.dump(order, self._server.stdin)
        self._server.stdin.flush()
        guard = threading.Timer(_ACTION_S, self.close)
        guard.start()
        try:
            exit_code, last_words = pickle.load(self._server.stdout)
        except EOFError:
            raise ActionFailed(f"the action did not end within {_ACTION_S:g} s") from None
        finally:
            guard.cancel()
            guard.join()
        if exit_code == -signal.SIGKILL:
            return Death(number=die_at, point=last_words)
        if exit_code != 0:
            raise ActionFailed(f"the action ended with {exit_code}:\n{last_words}")
        return None

    def close(self) -> None:
        """Idempotent; ends a child that is running, too."""
        if os.getpid() == self._pid and self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            for pipe in (self._server.stdin, self._server.stdout):
                if pipe is not None and threading.current_thread() is threading.main_thread():
                    pipe.close()
            atexit.unregister(self.close)
            shared_warm_process.cache_clear()


@functools.cache
def shared_warm_process() -> WarmProcess:
    """One for all sweeps of a test run, because it loads modules once."""
    return WarmProcess()
