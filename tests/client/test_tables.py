"""Tables and facts on terminals of several widths, in a pipe, and with a reader that goes away."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

import pytest
from rich.console import Console
from rich.text import Text

from adapterd.cli.exit_codes import ExitCode
from adapterd.terminal.render import print_prediction
from adapterd.terminal.table import (
    format_age,
    format_bytes,
    id_cell,
    print_facts,
    print_table,
    time_cell,
)
from adapterd.values import Completion, Prediction, Timing

JOB = "job-" + "0123456789abcdef" * 2
COLUMNS = ("job", "task", "status", "created", "version")


def _print_jobs(width: int | None) -> list[str]:
    """The lines of a table of jobs; no width is a pipe."""
    console = _console(width)
    rows = [(id_cell(JOB), "sentiment", "succeeded", time_cell(time.time() - 61), 7)]
    print_table(console, "1 job, of a long title", COLUMNS, rows, wrapped=())
    return _lines(console)


def _console(width: int | None) -> Console:
    return Console(
        file=io.StringIO(), width=width, force_terminal=width is not None, color_system=None
    )


def _lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return Text.from_ansi(console.file.getvalue()).plain.splitlines()


def test_a_pipe_gets_a_line_a_row_with_tabs_whole_ids_and_no_title() -> None:
    header, row = _print_jobs(None)
    assert header.split("\t") == list(COLUMNS)
    job, task, status, created, version = row.split("\t")
    assert (job, task, status, version) == (JOB, "sentiment", "succeeded", "7")
    assert created.endswith("Z")


def test_a_cell_of_several_lines_is_one_line_in_a_pipe() -> None:
    console = _console(None)
    print_table(console, "", ("text",), [("one\ttwo\nthree",)], wrapped=("text",))
    assert _lines(console) == ["text", "one two three"]


def test_a_wide_terminal_shows_every_column_and_a_short_id() -> None:
    title, header, row = _print_jobs(80)
    assert title == "1 job, of a long title"
    assert header.split() == list(COLUMNS)
    assert row.split() == [JOB[:12], "sentiment", "succeeded", "1", "min", "ago", "7"]


def test_a_narrow_terminal_loses_columns_from_the_right_and_breaks_no_cell() -> None:
    lines = _print_jobs(40)
    assert lines[1].split() == ["job", "task", "status"]
    assert lines[2].split() == [JOB[:12], "sentiment", "succeeded"]
    assert "Too narrow for: created, version." in " ".join(lines[3:])
    assert max(map(len, lines)) <= 40


def test_only_a_wrapped_column_is_broken() -> None:
    console = _console(40)
    rows = [("few_dev_rows", "a sentence that is longer than the terminal is wide")]
    print_table(console, "", ("code", "finding"), rows, wrapped=("finding",))
    assert [line.split()[0] for line in _lines(console)[1:]][:2] == ["code", "few_dev_rows"]
    assert len(_lines(console)) > 3


def test_generated_texts_have_a_finish_reason_and_no_score(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Completion(text="blue", finish_reason="stop", prompt_tokens=2, completion_tokens=1)
    timing = Timing(tokenize_ms=0, queue_ms=0, compute_ms=0, total_ms=0)
    prediction = Prediction(
        task="draft", version=1, digest="0" * 64, outputs=(output,), timing=timing
    )
    print_prediction(prediction, ["a colour"])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines == [["text", "answer", "finish reason"], ["a colour", "blue", "stop"]]


def test_facts_are_a_name_and_a_value_a_line_in_a_pipe() -> None:
    console = _console(None)
    print_facts(console, JOB, {"task": "sentiment", "error": None, "verdict": Text("Ship")})
    assert _lines(console) == [JOB, "task\tsentiment", "verdict\tShip"]


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(514, "514 B"), (2428, "2.4 KiB"), (20 * 2**20, "20 MiB"), (3 * 2**40, "3.0 TiB")],
)
def test_sizes_have_the_unit_that_suits_them(num_bytes: int, text: str) -> None:
    assert format_bytes(num_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59, "59 s"), (3599, "59 min"), (7300, "2 h"), (200_000, "2 days")],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe is POSIX")
def test_a_closed_pipe_ends_the_command_with_status_141_and_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "adapterd", "settings", "train"]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (ExitCode.CLOSED_PIPE, b"")


def test_no_color_is_respected() -> None:
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    code = (
        "from adapterd.terminal.render import print_warning\n"
        "print_warning('a sentence')\n"
    )  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=True
    )
    assert b"\x1b[33m" not in ended.stdout
    environment.pop("NO_COLOR")
    coloured = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=True
    )
    assert b"\x1b[33m" in coloured.stdout
