"""Ends a stream once its caller's key is revoked. The same for both transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

from server.auth.key_file import RELOAD_S

Item = TypeVar("Item")
_END = object()


async def while_confirmed(
    items: AsyncIterator[Item], confirm: Callable[[], None], every_s: float = RELOAD_S
) -> AsyncGenerator[Item, None]:
    """What `items` yields, until `confirm` raises. `confirm` is called before each item and, while
    none comes, every `every_s`, so a revocation ends the stream within twice that time.
    """
    coming: asyncio.Future[Item | object] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(_next(items))
            while not (await asyncio.wait((coming,), timeout=every_s))[0]:
                confirm()
            item = coming.result()
            if item is _END:
                return
            confirm()
            yield item  # type: ignore[misc]
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.wait((coming,))


async def _next(items: AsyncIterator[Item]) -> Item | object:
    return await anext(items, _END)
