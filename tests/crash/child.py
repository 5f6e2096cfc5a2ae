"""The program that a sweep's children are forked from. It loads modules and never calls obstore or
a database itself: threads and connections do not outlive a fork. Knows no action.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

# what each child would load again; a driver alone does not start threads
import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql
import sqlalchemy.dialects.sqlite  # noqa: F401

from tests.crash.points import WritePoints


def main() -> None:
    # what an action prints must not be taken for an answer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            module, name, die_at, every_statement, site = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        importlib.import_module(module)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _act(writer, module, name, die_at, every_statement, site)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            last_words = pipe.read().decode(errors="replace")
        _, status = os.waitpid(pid, 0)
        pickle.dump((os.waitstatus_to_exitcode(status), last_words), answers)
        answers.flush()


def _act(
    writer: int, module: str, name: str, die_at: int, every_statement: bool, site: Any
) -> None:
    """Ends the process: by a kill, with 0 when the action came to its end, with 1 on an error."""
    num_points = 0
    tell = os.write

    def reach(what: str) -> None:
        nonlocal num_points
        if num_points == die_at:
            tell(writer, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        num_points += 1

    try:
        points = WritePoints(reach, every_statement=every_statement)
        points.install()
        action: Callable[..., object] = getattr(sys.modules[module], name)
        action(site, points.arm)
        os._exit(0)
    except BaseException:
        tell(writer, traceback.format_exc().encode()[:60_000])
        os._exit(1)


if __name__ == "__main__":
    main()
