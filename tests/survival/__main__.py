"""`python -m tests.survival` writes docs/survival.md; with `--check` it only says what is wrong.

Exits 1 where a row has no proof and no reason, or a mark no row.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.survival.marked_tests import find_marked_tests
from tests.survival.page import PAGE, problems, render
from tests.survival.rows import read_rows

ROOT = Path(__file__).resolve().parents[2]


def find_problems(root: Path = ROOT) -> list[str]:
    rows, tests = read_rows(), find_marked_tests(root)
    found = problems(rows, tests)
    page = root / PAGE
    if not page.is_file() or page.read_text("utf-8") != render(rows, tests):
        found.append(f"{PAGE} is not current: run `python -m tests.survival`")
    return found


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        found = find_problems()
    else:
        rows, tests = read_rows(), find_marked_tests(ROOT)
        found = problems(rows, tests)
        (ROOT / PAGE).write_text(render(rows, tests), encoding="utf-8")
    print("\n".join(found) or "current")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
