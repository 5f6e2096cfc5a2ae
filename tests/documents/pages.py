"""Finds the pages and the blocks of code in them. What is done with a block is the caller's choice.

A page is Markdown. Sybil's comments steer what happens to a block:
`<!-- skip: next "reason" -->` and `<!-- invisible-code-block: sh … -->`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "examples" / "README.md",
)
#: languages whose blocks are checked; a fence without one holds a picture or an output
LANGUAGES = ("sh", "python", "json", "toml")

#: returns what is wrong with a block, or nothing
Evaluate = Callable[[Example], str | None]


def read_page(page: Path, evaluators: Mapping[str, Evaluate]) -> Document:
    """The page, with the blocks of these languages and the comments that skip some of them."""
    parsers = [CodeBlockParser(language, evaluate) for language, evaluate in evaluators.items()]
    return Sybil(parsers=[*parsers, SkipParser()], path=str(ROOT)).parse(page)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The blocks of one language, each with the line that its text begins on."""
    document = read_page(page, {language: lambda _: None})
    found = [each for each in document.examples() if each.region.lexemes.get("source") is not None]
    return [(first_line(each), str(each.parsed)) for each in found]


def first_line(block: Example) -> int:
    return int(block.line + block.parsed.line_offset + 1)
