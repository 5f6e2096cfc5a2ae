"""The gRPC service `adapterd.v1.Adapters`. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from adapterd.v1 import adapters_pb2
from adapters_registry.ref import PRODUCTION
from server.auth.caller import Caller
from server.errors import BadCall, BodyTooLarge
from server.grpc_api import wire
from server.limits import UploadLimits
from server.service.resources.adapters import AdapterService
from server.service.resources.promotion import read_override

_CHUNK_BYTES = 512 * 1024

Requests = AsyncIterator[adapters_pb2.RegisterRequest]


class AdaptersApi:
    """Translates messages and calls the service; contains no logic of its own."""

    def __init__(self, service: AdapterService, limits: UploadLimits) -> None:
        self._service = service
        self._limits = limits

    async def register(self, requests: Requests, caller: Caller) -> adapters_pb2.Version:
        stream = _UploadStream(requests, asyncio.get_running_loop(), self._limits)
        first = await stream.next()
        if first is None or not first.HasField("metadata"):
            raise BadCall("The first message of Register must be `metadata`.")
        registration = wire.read_registration(first.metadata)
        return wire.version(await self._service.register(caller, registration, stream.files()))

    async def list_versions(
        self, request: adapters_pb2.ListVersionsRequest, caller: Caller
    ) -> adapters_pb2.ListVersionsResponse:
        if request.dataset_sha256:
            views = await self._service.list_made_from(caller, request.dataset_sha256)
        else:
            views = await self._service.list(caller, request.task_id)
        return adapters_pb2.ListVersionsResponse(versions=[wire.version(view) for view in views])

    async def get_version(
        self, request: adapters_pb2.GetVersionRequest, caller: Caller
    ) -> adapters_pb2.Version:
        return wire.version(await self._service.get(caller, request.task_id))

    async def promote(
        self, request: adapters_pb2.PromoteRequest, caller: Caller
    ) -> adapters_pb2.Alias:
        expected = request.expected_version if request.HasField("expected_version") else None
        alias = request.alias or PRODUCTION
        override = read_override(request.override, request.reason)
        return wire.alias(
            await self._service.promote(
                caller, request.task_id, request.version, alias, expected, override
            )
        )

    async def rollback(
        self, request: adapters_pb2.RollbackRequest, caller: Caller
    ) -> adapters_pb2.Alias:
        return wire.alias(
            await self._service.rollback(caller, request.task_id, request.alias or PRODUCTION)
        )

    async def delete_alias(
        self, request: adapters_pb2.DeleteAliasRequest, caller: Caller
    ) -> adapters_pb2.DeleteAliasResponse:
        expected = request.expected_version if request.HasField("expected_version") else None
        # an alias that was left out must not delete `production`
        await self._service.delete_alias(caller, request.task_id, request.alias, expected)
        return adapters_pb2.DeleteAliasResponse()

    async def alias_history(
        self, request: adapters_pb2.AliasHistoryRequest, caller: Caller
    ) -> adapters_pb2.AliasHistoryResponse:
        views = await self._service.history(caller, request.task_id, request.alias or PRODUCTION)
        return adapters_pb2.AliasHistoryResponse(events=[wire.event(view) for view in views])

    async def export(
        self, request: adapters_pb2.ExportRequest, caller: Caller
    ) -> AsyncIterator[adapters_pb2.FileChunk]:
        with await self._service.export(caller, request.task_id) as exported:
            for path in exported.paths:
                for chunk in _chunks(path):
                    yield chunk

    async def delete_version(
        self, request: adapters_pb2.DeleteVersionRequest, caller: Caller
    ) -> adapters_pb2.DeleteVersionResponse:
        await self._service.delete(caller, request.task_id, request.version)
        return adapters_pb2.DeleteVersionResponse()


class _UploadStream:
    """The files of a Register stream, read by the thread that stages them."""

    def __init__(
        self, requests: Requests, loop: asyncio.AbstractEventLoop, limits: UploadLimits
    ) -> None:
        self._requests = aiter(requests)
        self._loop = loop
        self._limits = limits
        self._num_bytes = 0
        self._chunk: adapters_pb2.FileChunk | None = None

    async def next(self) -> adapters_pb2.RegisterRequest | None:
        """The next message, or None at the end. Raises BadCall if none comes in time."""
        stall_s = self._limits.stall_s
        try:
            async with asyncio.timeout(stall_s):
                return await anext(self._requests, None)
        except TimeoutError:
            raise BadCall(f"The stream sent no message for {stall_s:.0f} s.") from None

    def files(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        self._advance()
        while self._chunk is not None:
            if not self._chunk.name:
                raise BadCall("The first chunk of a file must name it.")
            yield self._chunk.name, self._content()

    def _content(self) -> Iterator[bytes]:
        """The chunk with the name and those without a name that follow it."""
        while self._chunk is not None:
            yield self._chunk.data
            self._advance()
            if self._chunk is not None and self._chunk.name:
                return

    def _advance(self) -> None:
        # blocks this thread, not the event loop; raises if the caller disconnects
        message = asyncio.run_coroutine_threadsafe(self.next(), self._loop).result()
        if message is not None and not message.HasField("chunk"):
            raise BadCall("After `metadata`, every message of Register must be a `chunk`.")
        self._chunk = None if message is None else message.chunk
        self._num_bytes += len(self._chunk.data) if self._chunk is not None else 0
        if self._num_bytes > self._limits.max_bytes:
            raise BodyTooLarge(
                f"The files are larger than the {self._limits.max_bytes} bytes allowed here."
            )


def _chunks(path: Path) -> Iterator[adapters_pb2.FileChunk]:
    name = path.name
    with path.open("rb") as file:
        while (data := file.read(_CHUNK_BYTES)) or name:
            yield adapters_pb2.FileChunk(name=name, data=data)
            name = ""
