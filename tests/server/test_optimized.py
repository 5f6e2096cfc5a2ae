"""No refusal is an assertion: all of them hold in a Python that skips those."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: what turns callers and files away
REFUSALS = [
    "tests/server/test_auth.py", "tests/server/test_keys.py", "tests/server/test_revocation.py",
    "tests/server/test_odd_values.py", "tests/registry/test_reader_config.py",
    "tests/registry/test_reader_files.py", "tests/registry/test_reader_header.py",
    "tests/registry/test_ref.py",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.survival("B13")
def test_refusals_hold_without_assertions() -> None:
    # pytest rewrites the tests' own assertions, which -O would skip too, into code that stays
    command = [sys.executable, "-O", "-m", "pytest", "-q", "-p", "no:cacheprovider", *REFUSALS]
    probe = [sys.executable, "-O", "-c", "assert False"]
    assert subprocess.run(probe, check=False).returncode == 0
    done = subprocess.run(
        [*command, "-W", "ignore::pytest.PytestConfigWarning"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout[-4000:]
