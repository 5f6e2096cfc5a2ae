"""`python -m server`: settings from environment and adapterd.toml.

The command line with flags is `adapterd serve`.
"""

from __future__ import annotations

import sys

from engine.logs.setup import log_to_stderr
from server.errors import StartFailed
from server.settings_sources import load_settings, quiet_grpc

_CANNOT_START = 2


def main() -> int:
    quiet_grpc()
    from server.main import run

    try:
        settings = load_settings({})
        log_to_stderr(settings.log_format)
        run(settings)
    except StartFailed as error:
        sys.stderr.write(f"adapterd cannot start: {error}\n")
        return _CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
