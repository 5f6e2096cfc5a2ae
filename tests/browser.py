"""A real browser, where the machine has one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1100,3000",
)  # fmt: skip


async def browse(url: str, profile: Path, *wanted: str) -> str:
    """What it prints of the page. Skips the test on a machine without a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no browser is installed")
    command = [browser, *FLAGS, f"--user-data-dir={profile}", *wanted, url]
    ran = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, timeout=100, check=True
    )
    return ran.stdout.decode()
