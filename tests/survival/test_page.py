"""docs/survival.md is current, and a gap in it is found."""

from __future__ import annotations

import ast
import re

import pytest

from tests.survival.__main__ import find_problems
from tests.survival.marked_tests import MarkedTest, marked_in
from tests.survival.page import problems, render
from tests.survival.rows import AREAS, Row, read_rows

ROW = Row(id="A1", situation="a flood", expected="a dam")
TEST = MarkedTest(path="tests/test_dam.py", name="test_a_dam_holds", rows=("A1",), is_slow=False)


def test_every_row_has_a_test_or_a_reason_and_the_page_is_current() -> None:
    assert find_problems() == []


def test_the_rows_of_an_area_are_numbered_without_a_gap() -> None:
    ids = [row.id for row in read_rows()]
    counts = {letter: sum(name[0] == letter for name in ids) for letter in AREAS}
    assert ids == [f"{letter}{n + 1}" for letter, count in counts.items() for n in range(count)]


@pytest.mark.parametrize(
    ("row", "tests", "problem"),
    [
        (ROW, [], "A1 has neither a test nor a reason"),
        (
            Row(id="A1", situation="", expected="", reason="dry"),
            [TEST],
            "A1 has a reason .*test_a_dam_holds",
        ),
        (
            Row(id="A1", situation="", expected="", reason="dry", open="wet"),
            [],
            "nothing of it is open",
        ),
        (
            Row(id="A2", situation="", expected="", reason="dry"),
            [TEST],
            "marked with A1, which is no row",
        ),
        (Row(id="Z1", situation="", expected="", reason="dry"), [], "Z1 is of no area"),
    ],
)
def test_a_gap_is_found(row: Row, tests: list[MarkedTest], problem: str) -> None:
    found = problems([row], tests)
    assert len(found) == 1
    assert re.search(problem, found[0])


def test_a_row_with_a_test_is_no_gap_and_links_to_it() -> None:
    assert problems([ROW], [TEST]) == []
    assert "| A1 | a flood | a dam | [a dam holds](../tests/test_dam.py) |" in render([ROW], [TEST])


def test_marks_of_tests_and_of_whole_modules_are_found() -> None:
    source = """
pytestmark = [pytest.mark.slow, pytest.mark.survival("A1")]

@pytest.mark.parametrize("n", [1])
@pytest.mark.survival("B2", "B3")
async def test_it(n): ...

def test_other(): ...
"""
    whole, test = marked_in(ast.parse(source), "tests/test_x.py")
    assert (whole.name, whole.rows, whole.is_slow) == ("", ("A1",), True)
    assert (test.name, test.rows, test.is_slow) == ("test_it", ("B2", "B3"), True)
