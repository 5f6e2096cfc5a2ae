"""Opens the client of a command from its options `--url` and `--profile`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapterd.client.async_client import AsyncClient
    from adapterd.client.client import Client


def connect(url: str | None, profile: str | None) -> Client:
    from adapterd.client.client import Client

    with print_warnings():
        return Client(url, profile=profile)


def connect_async(url: str | None, profile: str | None) -> AsyncClient:
    from adapterd.client.async_client import AsyncClient

    with print_warnings():
        return AsyncClient(url, profile=profile)


@contextmanager
def print_warnings() -> Iterator[None]:
    """Warnings become lines on stderr."""
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        yield
    for warning in noted:
        sys.stderr.write(f"adapterd: warning: {warning.message}\n")
