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
from adapterd.errors import AdapterdError
from adapterd.settings import ClientSettings, ConnectionOptions
from adapterd.wire.diagnosis import explain_grpc, is_unanswered
from adapterd.wire.encryption import make_credentials
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
        self._target = ""
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
                self._channel = self._make_channel(target)
                self._target = target
                self._stubs = ChannelStubs.from_channel(self._channel)
            return self._stubs

    def _make_channel(self, target: str) -> grpc.aio.Channel:
        options = channel_options(target)
        if self._settings.uses_tls:
            return grpc.aio.secure_channel(target, make_credentials(self._settings), options)
        return grpc.aio.insecure_channel(target, options)

    async def _learn_target(self) -> str:
        info = await self._transfer.send(Fetch(method="GET", path="/v1/info"))
        return read_target(self._settings.require_url(), info)

    async def _call(self, call: Call[T], timeout_s: float | None = PREDICT_TIMEOUT_S) -> T:
        timeout = to_timeout("timeout_s", timeout_s)
        method = call.method(self._stubs or await self._connect())
        try:
            answer = await method(call.request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise await self._explain(error) from error
        return call.read(answer)

    async def _stream(self, call: Call[T], timeout_s: float | None = None) -> AsyncIterator[T]:
        timeout = to_timeout("timeout_s", timeout_s)
        method = call.method(self._stubs or await self._connect())
        answers = method(call.request, timeout=timeout, metadata=self._metadata)
        try:
            async for answer in answers:
                yield call.read(answer)
        except grpc.RpcError as error:
            raise await self._explain(error) from error
        finally:
            answers.cancel()  # a caller who stops iterating ends the call

    async def _explain(self, error: grpc.RpcError) -> AdapterdError:
        plain = from_grpc(error)
        if not is_unanswered(plain):
            return plain
        return await asyncio.to_thread(explain_grpc, plain, self._target, self._settings)
