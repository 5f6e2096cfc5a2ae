"""The synchronous client's connection to its server: gRPC channel, credentials, HTTP files.

Knows no call by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

import grpc

from adapterd.calls.arguments import to_timeout
from adapterd.calls.calls import Call, ChannelStubs
from adapterd.client.channel import PREDICT_TIMEOUT_S, channel_options, metadata
from adapterd.settings import ClientSettings
from adapterd.wire.status_errors import from_grpc
from adapterd.wire.transfer import Transfer

T = TypeVar("T")


class Connection:
    """gRPC for calls and HTTP for files."""

    def __init__(
        self, *, url: str | None = None, grpc_target: str | None = None, api_key: str | None = None
    ) -> None:
        settings = ClientSettings.load(url=url, grpc=grpc_target, api_key=api_key)
        self._metadata = metadata(settings)
        self._channel = grpc.insecure_channel(settings.grpc, options=channel_options(settings.grpc))
        self._stubs = ChannelStubs.from_channel(self._channel)
        self._transfer = Transfer(settings)

    def close(self) -> None:
        self._channel.close()
        self._transfer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------ transport

    def _call(self, call: Call[T], timeout_s: float | None = PREDICT_TIMEOUT_S) -> T:
        method, timeout = call.method(self._stubs), to_timeout("timeout_s", timeout_s)
        try:
            answer = method(call.request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        return call.read(answer)

    def _stream(self, call: Call[T], timeout_s: float | None = None) -> Iterator[T]:
        method, timeout = call.method(self._stubs), to_timeout("timeout_s", timeout_s)
        answers = method(call.request, timeout=timeout, metadata=self._metadata)
        try:
            for answer in answers:
                yield call.read(answer)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        finally:
            answers.cancel()  # a caller who stops iterating ends the call
