"""The child that judges a run: evidence as JSON in, the report as JSON out."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

# loaded before threads are limited: a limit reaches the libraries that are there
import sklearn.linear_model  # noqa: F401
from threadpoolctl import threadpool_limits

from trainer.report.compose import compose


def main() -> None:
    os.nice(5)  # the child must not take time from the engine that serves beside it
    with suppress(OSError):  # and where memory ends, the report is what can be spared
        Path("/proc/self/oom_score_adj").write_text("1000")
    # threads that share such small products wait for each other longer than these take
    with threadpool_limits(1):
        answer = compose(json.load(sys.stdin))
    json.dump(answer, sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
