"""The asyncio client's connection to its server: gRPC channel, credentials, HTTP files.

Knows no call by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import grpc

from adapterd.calls.arguments import to_timeout
from adapterd.calls.calls import Call, ChannelStubs
from adapterd.client.channel import PREDICT_TIMEOUT_S, channel_options, metadata
from adapterd.settings import ClientSettings
from adapterd.wire.status_errors import from_grpc
from adapterd.wire.transfer import AsyncTransfer

T = TypeVar("T")


class AsyncConnection:
    """gRPC for calls and HTTP for files."""

    def __init__(
        self, *, url: str | None = None, grpc_target: str | None = None, api_key: str | None = None
    ) -> None:
        settings = ClientSettings.load(url=url, grpc=grpc_target, api_key=api_key)
        self._metadata = metadata(settings)
        self._channel = grpc.aio.insecure_channel(
            settings.grpc, options=channel_options(settings.grpc)
        )
        self._stubs = ChannelStubs.from_channel(self._channel)
        self._transfer = AsyncTransfer(settings)

    async def close(self) -> None:
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

    async def _call(self, call: Call[T], timeout_s: float | None = PREDICT_TIMEOUT_S) -> T:
        method, timeout = call.method(self._stubs), to_timeout("timeout_s", timeout_s)
        try:
            answer = await method(call.request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        return call.read(answer)

    async def _stream(self, call: Call[T], timeout_s: float | None = None) -> AsyncIterator[T]:
        method, timeout = call.method(self._stubs), to_timeout("timeout_s", timeout_s)
        answers = method(call.request, timeout=timeout, metadata=self._metadata)
        try:
            async for answer in answers:
                yield call.read(answer)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        finally:
            answers.cancel()  # a caller who stops iterating ends the call
