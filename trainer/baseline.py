"""What is reached on the same rows without the base: the rivals' answers, judged as the adapter's.

Runs in a short-lived child (`python -m trainer.baseline`, JSON in, JSON out): scikit-learn is slow
to import, holds the interpreter lock while it counts words, and is worth nothing to a serving
process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from trainer.example import Example
from trainer.heads import HEAD_DATA
from trainer.rivals import Rows, rival_answers
from trainer.split import Split

Baseline = dict[str, Any]
_TICK_S = 0.25


def baseline_of(
    head: str,
    split: Split,
    *,
    timeout_s: float,
    waiting: Callable[[], None] = lambda: None,
) -> Baseline:
    """{"name", "test": metrics, "majority": metrics} and those of a head's further rivals; or
    {"name", "error"} when the child failed or took too long.

    `waiting` is called a few times a second and may raise to give up.
    """
    name = HEAD_DATA[head].baseline
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    question = {"head": head} | {name: [_wire(row) for row in rows] for name, rows in parts.items()}
    try:
        answer = _ask_child(json.dumps(question).encode(), timeout_s, waiting)
        return {"name": name, **answer}
    except (ChildProcessError, TimeoutError) as error:
        return {"name": name, "error": str(error)}


def compute(head: str, train: Rows, dev: Rows, test: Rows) -> Baseline:
    """The child's work."""
    truth, measure = [row["label"] for row in test], HEAD_DATA[head].measure
    answers = rival_answers(head, train, dev, test)
    return {name: measure(truth, given) for name, given in answers.items()}


def _wire(row: Example) -> dict[str, Any]:
    text = row.text if row.pair is None else f"{row.text} {row.pair}"
    both = (row.text, row.pair)
    asked = row.turns[-1][1] if row.turns else row.text
    return {
        "text": text, "both": both, "words": row.words, "label": row.label, "asked": asked,
    }  # fmt: skip


def _ask_child(question: bytes, timeout_s: float, waiting: Callable[[], None]) -> Baseline:
    # files rather than pipes: a pipe fills up, and whoever waits on one cannot look up meanwhile
    with TemporaryFile() as asked, TemporaryFile() as answered, TemporaryFile() as errors:
        asked.write(question)
        asked.seek(0)
        code = _run_child(asked, answered, errors, timeout_s, waiting)
        answered.seek(0)
        errors.seek(0)
        if code:
            said = errors.read().decode(errors="replace").strip()[-300:]
            raise ChildProcessError(f"The baseline failed: {said}")
        answer: Baseline = json.load(answered)
    return answer


def _run_child(
    asked: IO[bytes],
    answered: IO[bytes],
    errors: IO[bytes],
    timeout_s: float,
    waiting: Callable[[], None],
) -> int:
    command = [sys.executable, "-m", "trainer.baseline"]
    # the package's own parent folder, so that the child finds it however this process did
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(  # noqa: S603 our own module
        command, stdin=asked, stdout=answered, stderr=errors, cwd=root
    ) as child:
        try:
            return _wait(child, timeout_s, waiting)
        finally:
            child.kill()


def _wait(child: subprocess.Popen[bytes], timeout_s: float, waiting: Callable[[], None]) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            return child.wait(timeout=_TICK_S)
        except subprocess.TimeoutExpired:
            waiting()
    raise TimeoutError(f"The baseline took longer than {timeout_s:g} seconds.")


def main() -> None:
    os.nice(5)  # the child must not take time from the engine that serves beside it
    question = json.load(sys.stdin)
    json.dump(compute(**question), sys.stdout)


if __name__ == "__main__":
    main()
