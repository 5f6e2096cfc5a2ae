"""The text of a shell block is split as a reader would type it."""

from __future__ import annotations

import pytest

from tests.documents.shell_text import commands, expected_status, words
from tests.documents.workplace import Workplace

BLOCK = """# a comment of its own
first --flag   # what it does
second \\
    --continued
third <<'END'
a line
END
for each in 1 2; do
    echo "$each"
done
"""


def test_a_command_ends_where_the_shell_accepts_it() -> None:
    found = list(commands(BLOCK))
    assert [line for line, _ in found] == [1, 2, 4, 7]
    assert found[1][1] == "second \\\n    --continued"
    assert found[2][1].endswith("END")


def test_comments_are_no_words() -> None:
    assert words("first --flag 'a b'   # what it does") == ["first", "--flag", "a b"]


@pytest.mark.parametrize(
    ("command", "status"), [("stop", 0), ("stop  # exit status 4, because it has ended", 4)]
)
def test_the_comment_of_a_command_says_the_status_that_is_expected(
    command: str, status: int
) -> None:
    assert expected_status(command) == status


def test_a_command_sees_the_variables_and_the_directory_of_earlier_ones() -> None:
    workplace = Workplace()
    try:
        workplace.run_command("NAME=mood; mkdir -p there; cd there")
        ran = workplace.run_command('echo "$NAME in ${PWD##*/}"; false')
        assert (ran.status, ran.output) == (1, "mood in there\n")
    finally:
        workplace.close()


def test_addresses_of_the_default_ports_become_those_of_the_page() -> None:
    workplace = Workplace()
    try:
        first = workplace.run_command("echo localhost:8000 127.0.0.1:8001").output.split()
        again = workplace.run_python("print('127.0.0.1:8000 127.0.0.1:8001')").output.split()
        assert first == again
        assert not {"localhost:8000", "127.0.0.1:8000", "127.0.0.1:8001"} & set(first)
    finally:
        workplace.close()
