"""docs/survival.md, made of the rows and of the tests that carry their ids, and what is wrong with
the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.survival.marked_tests import MarkedTest
from tests.survival.rows import AREAS, Row

PAGE = Path("docs") / "survival.md"

INTRODUCTION = """\
# What adapterd withstands

Attacks, faults and mistakes that such a server meets, a row each: the situation, what must happen
in it, and the tests that prove it. Written by `python -m tests.survival` from
[the rows](../tests/survival/rows.toml) and from the tests that carry their ids
(`@pytest.mark.survival("A1")`), wherever these lie; do not edit it by hand. `make check` fails
where a row has neither a test nor a reason, where a mark names no row, and where this page is not
current.

Of {num_rows} rows, **{num_whole} are proven** by the tests named beside them. **{num_partial} are
proven in part**, and "Open" says what no test proves or the product does not do. **{num_without}
have no test**, with the reason in its place: the product has no such part, or no such defence.
Tests marked *slow* run in `make test-all`, the others in `make test`."""


def render(rows: Sequence[Row], tests: Sequence[MarkedTest]) -> str:
    parts = [_introduction(rows)]
    for letter, title in AREAS.items():
        parts.append(f"## {letter} · {title}")
        lines = [_line(row, tests) for row in rows if row.area == letter]
        parts.append(
            "\n".join(
                ["| | situation | what must happen | proven by |", "|---|---|---|---|", *lines]
            )
        )
    return "\n\n".join(parts) + "\n"


def problems(rows: Sequence[Row], tests: Sequence[MarkedTest]) -> list[str]:
    """Sentences; none where every row has tests or a reason, and every mark a row."""
    marked = {row: f"{test.path}::{test.name}" for test in tests for row in test.rows}
    known = {row.id for row in rows}
    found = [
        f"{where} is marked with {row}, which is no row"
        for row, where in marked.items()
        if row not in known
    ]
    for row in rows:
        if row.id not in marked and not row.reason:
            found.append(f"{row.id} has neither a test nor a reason")
        if row.id in marked and row.reason:
            found.append(f"{row.id} has a reason for having no test, and the test {marked[row.id]}")
        if row.open and row.reason:
            found.append(f"{row.id} has no test, so nothing of it is open in part")
        if row.area not in AREAS:
            found.append(f"{row.id} is of no area")
    return found


def _introduction(rows: Sequence[Row]) -> str:
    num_without = sum(bool(row.reason) for row in rows)
    num_partial = sum(bool(row.open) for row in rows)
    return INTRODUCTION.format(
        num_rows=len(rows),
        num_whole=len(rows) - num_without - num_partial,
        num_partial=num_partial,
        num_without=num_without,
    )


def _line(row: Row, tests: Sequence[MarkedTest]) -> str:
    proofs = [_link(test) for test in tests if row.id in test.rows]
    if row.reason:
        proofs = [f"No test: {row.reason}."]
    if row.open:
        proofs.append(f"**Open:** {row.open}.")
    return f"| {row.id} | {row.situation} | {row.expected} | {'<br>'.join(proofs)} |"


def _link(test: MarkedTest) -> str:
    sentence = test.name.removeprefix("test_").replace("_", " ") or f"all of {Path(test.path).name}"
    return f"[{sentence}](../{test.path})" + (" *slow*" if test.is_slow else "")
