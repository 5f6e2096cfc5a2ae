"""The public API: `Client`, `AsyncClient`, their values and errors.

Names are imported on first use, so that the command line starts without grpc and httpx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapterd.client.async_client import AsyncClient as AsyncClient
    from adapterd.client.client import Client as Client
    from adapterd.values import Question as Question

__all__ = ["AsyncClient", "Client", "Question"]


def __getattr__(name: str) -> Any:
    homes = {
        "Client": "adapterd.client.client",
        "AsyncClient": "adapterd.client.async_client",
        "Question": "adapterd.values",
    }
    if name not in homes:
        raise AttributeError(f"module 'adapterd' has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
