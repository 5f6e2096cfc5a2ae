"""`python -m tests.documents [PAGE…]` runs every command and block of the pages as a reader would.

Each page gets an empty directory, a shell and, where it starts one, a server on free ports. Prints
each command with its seconds, each skipped block with its reason, and a summary.
Exits 1 if a command failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from unittest import SkipTest

from tests.documents.page_run import Outcome, PageRun
from tests.documents.pages import PAGES, ROOT


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.documents", description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, help="pages; default: all")
    parser.add_argument("--verbose", action="store_true", help="print what each command prints")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    outcomes: list[Outcome] = []
    for page in [path.resolve() for path in options.pages] or PAGES:
        outcomes += _run(page, verbose=options.verbose)
    failed = [each for each in outcomes if each.problem is not None]
    num_skipped = sum(each.skipped is not None for each in outcomes)
    num_passed = len(outcomes) - len(failed) - num_skipped
    print(f"\n{num_passed} passed, {num_skipped} skipped, {len(failed)} failed", end=" ")
    print(f"in {time.monotonic() - begin:.0f} seconds")
    for outcome in failed:
        print(f"failed: {outcome.place}  {outcome.title}")
    return 1 if failed else 0


def _run(page: Path, *, verbose: bool) -> list[Outcome]:
    with PageRun(page, verbose=verbose) as run:
        for block in run.blocks():
            try:
                block.evaluate()
            except SkipTest as reason:
                run.skip(block, str(reason))
            if run.has_failed:
                break  # what follows would fail only because this did
        return run.outcomes


if __name__ == "__main__":
    # ends as with Ctrl-C, so that no server is left behind
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"==> commands of the documents under {ROOT}", flush=True)
    sys.exit(main(sys.argv[1:]))
