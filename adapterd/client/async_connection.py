"""The asyncio client's connection to its server: gRPC channel, credentials, HTTP files.

Knows no call by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from adapterd.calls.arguments import to_timeout
from adapterd.calls.calls import Call, ChannelStubs
from adapterd.client.channel import (
    PREDICT_TIMEOUT_S,
    channel_options,
    metadata,
    read_target,
    warn_of_clear_key,
)
from adapterd.settings import ClientSettings, ConnectionOptions
from adapterd.wire.status_errors import from_grpc
from adapterd.wire.transfer import AsyncTransfer, Fetch

T = TypeVar("T")


class AsyncConnection:
    """gRPC for calls and HTTP for files.

    The gRPC address is asked from the server when the first call needs it, unless it was given.
    """

    def __init__(self, url: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        self._open(ClientSettings.load(url, **options))

    def _open(self, settings: ClientSettings) -> None:
        self._settings = settings
        warn_of_clear_key(settings)
        self._metadata = metadata(settings)
        self._transfer = AsyncTransfer(settings)
        self._channel: grpc.aio.Channel | None = None
        self._stubs: ChannelStubs | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        await self._transfer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # ------------------------------------------------------------ transport

    async def _connect(self) -> ChannelStubs:
        async with self._connecting:
            if self._stubs is None:
                target = self._settings.grpc or await self._learn_target()
                self._channel = grpc.aio.insecure_channel(target, options=channel_options(target))
                self._stubs = ChannelStubs.from_channel(self._channel)
            return self._stubs

    async def _learn_target(self) -> str:
        info = await self._transfer.send(Fetch(method="GET", path="/v1/info"))
        return read_target(self._settings.require_url(), info)

    async def _call(self, call: Call[T], timeout_s: float | None = PREDICT_TIMEOUT_S) -> T:
        timeout = to_timeout("timeout_s", timeout_s)
        method = call.method(self._stubs or await self._connect())
        try:
            answer = await method(call.request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        return call.read(answer)

    async def _stream(self, call: Call[T], timeout_s: float | None = None) -> AsyncIterator[T]:
        timeout = to_timeout("timeout_s", timeout_s)
        method = call.method(self._stubs or await self._connect())
        answers = method(call.request, timeout=timeout, metadata=self._metadata)
        try:
            async for answer in answers:
                yield call.read(answer)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        finally:
            answers.cancel()  # a caller who stops iterating ends the call
