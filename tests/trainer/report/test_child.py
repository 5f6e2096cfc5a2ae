"""A question to a short-lived child: answers, failures, time and giving up."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from trainer.errors import Cancelled
from trainer.report.reporter import MODULE
from trainer.sandbox.command import ask_child

ECHO = "tests.trainer.report.echo"


def test_the_child_answers_what_it_was_asked() -> None:
    assert ask_child(ECHO, {"say": ["ü", 1, None]}, timeout_s=60) == {"said": ["ü", 1, None]}


def test_a_child_that_takes_too_long_is_said_so() -> None:
    with pytest.raises(TimeoutError, match=r"trainer\.report took longer than 0 seconds\."):
        ask_child(MODULE, {}, timeout_s=0)


def test_a_child_that_fails_says_its_last_words() -> None:
    with pytest.raises(ChildProcessError, match=r"(?s)echo ended with 1: .*KeyError: 'say'"):
        ask_child(ECHO, {}, timeout_s=60)


def test_a_question_that_no_pipe_holds_at_once_reaches_the_child() -> None:
    """More than a pipe takes, while the child is still importing: the question must not stall."""
    said = "word " * 200_000
    assert ask_child(ECHO, {"say": said}, timeout_s=60) == {"said": said}


def test_whoever_gives_up_does_not_wait_for_the_child() -> None:
    def waiting() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        ask_child(ECHO, {"say": 1, "sleep_s": 60}, timeout_s=60, waiting=waiting)


def test_this_process_stays_without_the_libraries_of_the_child() -> None:
    code = (
        "import sys, trainer.trainer, trainer.worker, trainer.report.page.page; "
        "print(sorted(sys.modules))"
    )
    loaded: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    heavy = {"torch", "transformers", "sklearn", "scipy", "sacrebleu"}
    assert not heavy & set(eval(loaded.stdout))
