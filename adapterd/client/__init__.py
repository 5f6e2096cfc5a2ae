"""The clients: `Client` is synchronous, `AsyncClient` is for asyncio.

They own channels, credentials and retries; `calls` defines the calls they send.
"""

from __future__ import annotations

from adapterd.client.async_client import AsyncClient
from adapterd.client.client import Client

__all__ = ["AsyncClient", "Client"]
