"""Starts modules of ours as child processes. Knows no module and nothing of what they exchange.

The engine's own process is started by `engine.runtime.supervisor`, which also sets its environment.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import IO


def start_module(
    name: str,
    *arguments: str,
    stdin: int | IO[bytes],
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """`python -m name`, in the folder of our packages, so that the child imports the same ones
    however this process found them.
    """
    return subprocess.Popen(  # noqa: S603 our own module
        [sys.executable, "-m", name, *arguments],
        stdin=stdin, stdout=stdout, stderr=stderr, cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
