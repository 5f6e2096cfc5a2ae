"""The child that judges a run: evidence as JSON in, the report as JSON out."""

from __future__ import annotations

import json
import os
import sys

from trainer.report.compose import compose


def main() -> None:
    os.nice(5)  # the child must not take time from the engine that serves beside it
    json.dump(compose(json.load(sys.stdin)), sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
