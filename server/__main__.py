"""`python -m server`: settings from environment and adapterd.toml.

The command line with flags is `adapterd serve`.
"""

from __future__ import annotations

import logging
import sys

from server.config import load_settings
from server.errors import StartFailed
from server.main import run

_CANNOT_START = 2


def main() -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        run(load_settings({}))
    except StartFailed as error:
        sys.stderr.write(f"adapterd cannot start: {error}\n")
        return _CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
