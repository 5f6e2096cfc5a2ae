"""Runs a module in a short-lived child process: JSON in, JSON out. Knows no request.

The libraries that compute reports are slow to import and hold the interpreter lock, and a serving
process has no use for them.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from tempfile import TemporaryFile
from typing import IO, Any

from engine.child_process import start_module

_TICK_S = 0.25


def ask_child(
    module: str,
    question: Mapping[str, Any],
    *,
    timeout_s: float,
    waiting: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """What `python -m module` answers. Raises ChildProcessError or TimeoutError.

    `waiting` is called a few times a second and may raise to give up.
    """
    # files rather than pipes: a pipe fills up, and whoever waits on one cannot look up meanwhile
    with (
        TemporaryFile() as question_file,
        TemporaryFile() as answer_file,
        TemporaryFile() as errors,
    ):
        question_file.write(json.dumps(question).encode())
        question_file.seek(0)
        code = _run(module, (question_file, answer_file, errors), timeout_s, waiting)
        answer_file.seek(0)
        errors.seek(0)
        if code:
            stderr_tail = errors.read().decode(errors="replace").strip()[-300:]
            raise ChildProcessError(f"{module} ended with {code}: {stderr_tail}")
        answer: dict[str, Any] = json.load(answer_file)
    return answer


def _run(
    module: str,
    files: tuple[IO[bytes], IO[bytes], IO[bytes]],
    timeout_s: float,
    waiting: Callable[[], None],
) -> int:
    question_file, answer_file, errors = files
    with start_module(module, stdin=question_file, stdout=answer_file, stderr=errors) as child:
        try:
            return _wait(child, module, timeout_s, waiting)
        finally:
            child.kill()


def _wait(
    child: subprocess.Popen[bytes], module: str, timeout_s: float, waiting: Callable[[], None]
) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            return child.wait(timeout=_TICK_S)
        except subprocess.TimeoutExpired:
            waiting()
    raise TimeoutError(f"{module} took longer than {timeout_s:g} seconds.")
