"""The clients: `Client` for programs that wait, `AsyncClient` for asyncio.

They own channels, credentials and retries; which calls there are stands in `calls`.
"""

from __future__ import annotations

from adapterd.client.async_client import AsyncClient
from adapterd.client.client import Client

__all__ = ["AsyncClient", "Client"]
