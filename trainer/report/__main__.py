"""The child that computes the report: evidence as JSON in, metrics and report as JSON out."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

# loaded before threads are limited, because a limit is set on the libraries that are loaded
import sklearn.linear_model  # noqa: F401
from threadpoolctl import threadpool_limits

from trainer.report.compose import compose


def main() -> None:
    os.nice(5)  # the child must not take time from the engine that serves beside it
    with suppress(OSError):  # where memory runs out, this process is ended before any other
        Path("/proc/self/oom_score_adj").write_text("1000")
    # on products as small as these, threads cost more time than they save
    with threadpool_limits(1):
        answer = compose(json.load(sys.stdin))
    json.dump(answer, sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
