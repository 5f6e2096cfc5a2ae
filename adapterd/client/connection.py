"""The synchronous client's connection to its server: gRPC channel, credentials, HTTP files.

Knows no call by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
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
from adapterd.wire.transfer import Fetch, Transfer

T = TypeVar("T")


class Connection:
    """gRPC for calls and HTTP for files.

    The gRPC address is asked from the server when the first call needs it, unless it was given.
    """

    def __init__(self, url: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        self._open(ClientSettings.load(url, **options))

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> Self:
        """With these settings, whatever the environment and the profiles say."""
        made = cls.__new__(cls)
        made._open(settings)
        return made

    def _open(self, settings: ClientSettings) -> None:
        self._settings = settings
        warn_of_clear_key(settings)
        self._metadata = metadata(settings)
        self._transfer = Transfer(settings)
        self._channel: grpc.Channel | None = None
        self._stubs: ChannelStubs | None = None
        self._target = ""
        self._connecting = Lock()

    def close(self) -> None:
        if self._channel is not None:
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

    def _connect(self) -> ChannelStubs:
        with self._connecting:
            if self._stubs is None:
                target = self._settings.grpc or self._learn_target()
                self._channel = self._make_channel(target)
                self._target = target
                self._stubs = ChannelStubs.from_channel(self._channel)
            return self._stubs

    def _make_channel(self, target: str) -> grpc.Channel:
        options = channel_options(target)
        if self._settings.uses_tls:
            return grpc.secure_channel(target, make_credentials(self._settings), options)
        return grpc.insecure_channel(target, options)

    def _learn_target(self) -> str:
        info = self._transfer.send(Fetch(method="GET", path="/v1/info"))
        return read_target(self._settings.require_url(), info)

    def _call(self, call: Call[T], timeout_s: float | None = PREDICT_TIMEOUT_S) -> T:
        timeout = to_timeout("timeout_s", timeout_s)
        method = call.method(self._stubs or self._connect())
        try:
            answer = method(call.request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._explain(error) from error
        return call.read(answer)

    def _stream(self, call: Call[T], timeout_s: float | None = None) -> Iterator[T]:
        timeout = to_timeout("timeout_s", timeout_s)
        method = call.method(self._stubs or self._connect())
        answers = method(call.request, timeout=timeout, metadata=self._metadata)
        try:
            for answer in answers:
                yield call.read(answer)
        except grpc.RpcError as error:
            raise self._explain(error) from error
        finally:
            answers.cancel()  # a caller who stops iterating ends the call

    def _explain(self, error: grpc.RpcError) -> AdapterdError:
        plain = from_grpc(error)
        if not is_unanswered(plain):
            return plain
        return explain_grpc(plain, self._target, self._settings)
