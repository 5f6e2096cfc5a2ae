"""docs/data.md and the data checks know the same codes."""

from __future__ import annotations

import re
from pathlib import Path

from trainer import errors

ROOT = Path(__file__).parents[3]


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    table = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \| (?:error|warning|info)", table, re.MULTILINE))
    assert documented == _found() | _refusals()


def _found() -> set[str]:
    sources = "\n".join(
        path.read_text() for path in (ROOT / "trainer" / "data_checks").glob("*.py")
    )
    given = re.findall(r'code="(\w+)"(?: if \w+ else "(\w+)")?', sources)
    return {code for codes in given for code in codes if code}


def _refusals() -> set[str]:
    """What is wrong with a file; what a check of it takes too much of is another module's."""
    known = (errors.BadDataset, *errors.BadDataset.__subclasses__())
    return {error.code for error in known if error.__module__ == errors.__name__}
