"""One page on its way from top to bottom: runs its blocks and keeps what came of each.

Knows the languages of blocks; of servers only which commands start one (`workplace.py`).
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sybil import Example

from tests.documents.pages import ROOT, first_line, read_page
from tests.documents.shell_text import commands, expected_status
from tests.documents.workplace import Ran, Workplace

MOST_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a command or a block."""

    place: str
    title: str
    seconds: float
    problem: str | None = None
    skipped: str | None = None


class PageRun:
    """Runs the blocks of one page in one workplace, and prints a line for each."""

    def __init__(self, page: Path, *, verbose: bool) -> None:
        self.outcomes: list[Outcome] = []
        self._page = page
        self._verbose = verbose
        self._workplace = Workplace()

    def __enter__(self) -> PageRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workplace.close()

    @property
    def has_failed(self) -> bool:
        return any(each.problem is not None for each in self.outcomes)

    def blocks(self) -> Iterable[Example]:
        evaluators = {
            "sh": self._run_shell,
            "python": self._run_python,
            "json": self._parse(json.loads),
            "toml": self._parse(tomllib.loads),
        }
        return read_page(self._page, evaluators).examples()

    def skip(self, block: Example, reason: str) -> None:
        for line, command in _parts(block):
            self._keep(line, command, 0.0, skipped=reason)

    def _run_shell(self, block: Example) -> None:
        for line, command in _parts(block):
            wanted = expected_status(command)
            ran = self._workplace.run_command(command)
            if not self._keep_ran(line, command, ran, wanted):
                return

    def _run_python(self, block: Example) -> None:
        ran = self._workplace.run_python(str(block.parsed))
        self._keep_ran(first_line(block), str(block.parsed), ran, 0)

    def _parse(self, parse: Callable[[str], object]) -> Callable[[Example], None]:
        def evaluate(block: Example) -> None:
            begin = time.monotonic()
            problem = None
            try:
                parse(str(block.parsed))
            except ValueError as error:
                problem = str(error)
            seconds = time.monotonic() - begin
            self._keep(first_line(block), str(block.parsed), seconds, problem=problem)

        return evaluate

    def _keep_ran(self, line: int, text: str, ran: Ran, wanted: int) -> bool:
        problem = None
        if ran.status != wanted:
            last = "\n".join(ran.output.splitlines()[-MOST_LINES:])
            problem = f"exit status {ran.status} instead of {wanted}\n{last}"
        self._keep(line, text, ran.seconds, problem=problem)
        if self._verbose and problem is None:
            print(_indented(ran.output), flush=True)
        return problem is None

    def _keep(
        self,
        line: int,
        text: str,
        seconds: float,
        *,
        problem: str | None = None,
        skipped: str | None = None,
    ) -> None:
        place = f"{self._page.relative_to(ROOT)}:{line}"
        title = next(each.strip() for each in text.splitlines() if each.strip())[:70]
        outcome = Outcome(
            place=place, title=title, seconds=seconds, problem=problem, skipped=skipped
        )
        self.outcomes.append(outcome)
        result = "FAILED" if problem else "skipped" if skipped else "ok"
        print(f"{seconds:7.1f} s  {result:<7}  {place:<26} {title}", flush=True)
        for lines in filter(None, (problem, skipped)):
            print(_indented(lines), flush=True)


def _parts(block: Example) -> list[tuple[int, str]]:
    """The commands of a shell block; any other block is one part."""
    begin = first_line(block)
    if block.region.lexemes is None or block.region.lexemes.get("arguments", "").strip() != "sh":
        return [(begin, str(block.parsed))]
    return [(begin + number, command) for number, command in commands(str(block.parsed))]


def _indented(text: str) -> str:
    return "\n".join(f"             | {line}" for line in text.splitlines())
