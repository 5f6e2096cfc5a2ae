"""The client for asyncio: plain values in, plain values out, typed errors.

`client` is the same for programs that wait; both send the calls of `calls`, written once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import grpc

from adapterd import calls
from adapterd.call_options import AdapterOptions, PredictOptions, TrainingOptions, WritingOptions
from adapterd.calls import Call, ChannelStubs
from adapterd.channel import PREDICT_TIMEOUT_S, channel_options, metadata
from adapterd.check_call import FileCheck, check_file
from adapterd.export_files import ExportFiles
from adapterd.failures import from_grpc
from adapterd.settings import ClientSettings
from adapterd.transfer import AsyncTransfer, Fetch, OnBytes, report_path
from adapterd.values import Alias, AliasEvent, File, Job, Prediction, Predictions, Task, Version
from adapterd.wire import Text
from adapterd.written import Piece

T = TypeVar("T")
OnJob = Callable[[Job], None]


class AsyncClient:
    """One server, reached over gRPC and, for files, HTTP. Belongs to one event loop."""

    def __init__(
        self, *, url: str | None = None, grpc_target: str | None = None, api_key: str | None = None
    ) -> None:
        settings = ClientSettings.load(url=url, grpc=grpc_target, api_key=api_key)
        self._metadata = metadata(settings)
        options = channel_options(settings.grpc)
        self._channel = grpc.aio.insecure_channel(settings.grpc, options=options)
        self._stubs = ChannelStubs.over(self._channel)
        self._transfer = AsyncTransfer(settings)

    # ------------------------------------------------------------ answers

    async def predict(
        self,
        ref: str,
        texts: Text | Sequence[Text],
        *,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[PredictOptions],
    ) -> Prediction:
        """Answers for one text, (text, text) pair or `Question`, or a list of them, all from one
        version.
        """
        call = calls.predict(ref, calls.listed(texts), options)
        return await self._ask(call, timeout_s)

    def predict_stream(
        self,
        ref: str,
        texts: Text | Sequence[Text],
        *,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[WritingOptions],
    ) -> AsyncIterator[Piece]:
        """What a task that writes makes of one text or a list of them, piece by piece.

        Closing the iterator ends the writing.
        """
        call = calls.predict_stream(ref, calls.listed(texts), options)
        return self._stream(call, timeout_s)

    async def predict_many(
        self,
        refs: Sequence[str],
        texts: Text | Sequence[Text],
        *,
        raw_scores: bool = False,
        timeout_s: float = PREDICT_TIMEOUT_S,
    ) -> Predictions:
        """Answers of many tasks for the same text, pair or list of them, from one pass."""
        call = calls.predict_many(refs, calls.listed(texts), raw_scores=raw_scores)
        return await self._ask(call, timeout_s)

    # ------------------------------------------------------------ tasks

    async def tasks(self) -> AsyncIterator[Task]:
        """Every task of the tenant, page by page."""
        more, after = True, ""
        while more:
            page, more = await self._ask(calls.list_tasks(after, limit=calls.PAGE_ROWS))
            for item in page:
                yield item
            after = page[-1].task if page else ""

    async def task(self, task: str) -> Task:
        return await self._ask(calls.get_task(task))

    async def delete_task(self, task: str) -> None:
        await self._ask(calls.delete_task(task))

    # ------------------------------------------------------------ versions and aliases

    async def register(
        self, task: str, directory: Path | str | None = None, **options: Unpack[AdapterOptions]
    ) -> Version:
        """Publishes an adapter directory, for example one that PEFT saved; a prompt has none."""
        return await self._ask(
            calls.register(task, calls.adapter_directory(directory), options), None
        )

    async def versions(self, task: str) -> list[Version]:
        return await self._ask(calls.list_versions(task))

    async def version(self, ref: str) -> Version:
        return await self._ask(calls.get_version(ref))

    async def report_page(self, ref: str) -> str:
        """The version's report as HTML; as JSON it is `report` in the version's lineage."""
        return await self._transfer.text(report_path(await self.version(ref)))

    async def promote(
        self,
        task: str,
        version: int,
        alias: str = "production",
        *,
        expected_version: int | None = None,
    ) -> Alias:
        """Points the alias at the version; with `expected_version` only if it points there now."""
        return await self._ask(calls.promote(task, version, alias, expected_version))

    async def rollback(self, task: str, alias: str = "production") -> Alias:
        return await self._ask(calls.rollback(task, alias))

    async def alias_history(self, task: str, alias: str = "production") -> list[AliasEvent]:
        return await self._ask(calls.alias_history(task, alias))

    async def export(self, ref: str, directory: Path | str) -> list[Path]:
        """Writes the version's files, in PEFT's layout where PEFT has the method."""
        with ExportFiles(Path(directory)) as files:
            async for name, data in self._stream(calls.export(ref)):
                files.write(name, data)
            return files.paths

    async def delete_version(self, task: str, version: int) -> None:
        await self._ask(calls.delete_version(task, version))

    # ------------------------------------------------------------ training

    async def train(
        self,
        task: str,
        data: Path | str,
        *,
        dev_data: Path | str | None = None,
        test_data: Path | str | None = None,
        on_job: OnJob | None = None,
        **options: Unpack[TrainingOptions],
    ) -> Job:
        """Uploads labelled rows, trains a version and waits for it. Raises JobFailed."""
        paths = {"file_id": data, "dev_file_id": dev_data, "test_file_id": test_data}
        ids = {field: (await self.upload(path)).id for field, path in paths.items() if path}
        job = await self.create_job(task, ids, **options)
        return await self.wait(job.id, on_job)

    async def upload(
        self, path: Path | str, purpose: str = "fine-tune", on_bytes: OnBytes | None = None
    ) -> File:
        return await self._transfer.upload(Path(path), purpose, on_bytes)

    async def check_file(
        self, file_ids: dict[str, str], **options: Unpack[TrainingOptions]
    ) -> FileCheck:
        """What a job on uploaded files would be told of them; nothing is queued."""
        return await self._ask(check_file(file_ids, options), None)

    async def create_job(
        self, task: str, file_ids: dict[str, str], **options: Unpack[TrainingOptions]
    ) -> Job:
        """Queues a training on files: `file_id`, maybe `dev_file_id` and `test_file_id`."""
        return await self._ask(calls.create_job(task, file_ids, options))

    async def job(self, job_id: str) -> Job:
        return await self._ask(calls.get_job(job_id))

    async def jobs(self) -> AsyncIterator[Job]:
        """Every job of the tenant, newest first, page by page."""
        more, after = True, ""
        while more:
            page, more = await self._ask(calls.list_jobs(after, limit=calls.PAGE_ROWS))
            for item in page:
                yield item
            after = page[-1].id if page else ""

    async def cancel_job(self, job_id: str) -> Job:
        return await self._ask(calls.cancel_job(job_id))

    def watch_job(self, job_id: str) -> AsyncIterator[Job]:
        """The job now and after each change, until it ends."""
        return self._stream(calls.watch_job(job_id))

    async def wait(self, job_id: str, on_job: OnJob | None = None) -> Job:
        """The job once it has succeeded. Raises JobFailed if it ends any other way."""
        job = await self.job(job_id)
        async for job in self.watch_job(job_id):
            if on_job:
                on_job(job)
        return calls.succeeded(job)

    # ------------------------------------------------------------ the server itself

    async def info(self) -> dict[str, Any]:
        """What the server says of its base, its numerics and itself."""
        return await self._transfer.send(Fetch(method="GET", path="/v1/info"))

    async def close(self) -> None:
        await self._channel.close()
        await self._transfer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()

    # ------------------------------------------------------------ transport

    async def _ask(self, call: Call[T], timeout_s: float | None = PREDICT_TIMEOUT_S) -> T:
        method = call.method(self._stubs)
        try:
            answer = await method(call.request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        return call.read(answer)

    async def _stream(self, call: Call[T], timeout_s: float | None = None) -> AsyncIterator[T]:
        answers = call.method(self._stubs)(call.request, timeout=timeout_s, metadata=self._metadata)
        try:
            async for answer in answers:
                yield call.read(answer)
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        finally:
            answers.cancel()  # who stops listening ends the call
