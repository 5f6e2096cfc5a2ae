"""The asyncio client: plain values in, plain values out, typed errors.

`client` has the same methods for synchronous programs; both send the call values of `calls`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Unpack

from adapterd.calls import calls
from adapterd.calls.arguments import to_path
from adapterd.calls.batches import pin_version
from adapterd.calls.call_options import AdapterOptions, GenerationOptions, PredictOptions
from adapterd.calls.frames import FrameColumns, add_answers, read_frame
from adapterd.calls.inputs import Text
from adapterd.client.async_batch_predictor import AsyncBatchPredictor
from adapterd.client.async_job_client import AsyncJobClient
from adapterd.client.channel import PREDICT_TIMEOUT_S
from adapterd.client.export_files import ExportFiles
from adapterd.terminal.row_progress import count_rows, row_progress
from adapterd.values import (
    Alias,
    AliasEvent,
    AuditEvent,
    CompletionChunk,
    Lineage,
    Output,
    Prediction,
    Predictions,
    ReportLink,
    Task,
    Version,
)
from adapterd.values.columns import PREFIX
from adapterd.wire.audit_trail import (
    audit_request,
    lineages_request,
    read_audit_page,
    read_lineages,
)
from adapterd.wire.transfer import Fetch, read_report_link, report_link_request, report_path


class AsyncClient(AsyncJobClient):
    """One server, reached over gRPC and, for files, HTTP. Belongs to one event loop."""

    # ------------------------------------------------------------ answers

    async def predict(
        self,
        ref: str,
        texts: Text | Iterable[Text],
        *,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[PredictOptions],
    ) -> Prediction:
        """Answers for one input or a list of them, all from one version.

        An input is a text, a (text, text_pair) tuple, a `Question`, a list of (role, content)
        turns, or a mapping with the field names of the HTTP API.
        """
        call = calls.predict(ref, texts, options)
        return await self._call(call, timeout_s)

    def predict_stream(
        self,
        ref: str,
        texts: Text | Iterable[Text],
        *,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[GenerationOptions],
    ) -> AsyncIterator[CompletionChunk]:
        """The completions of one input or a list of them, streamed in chunks.

        Closing the iterator cancels the generation.
        """
        call = calls.predict_stream(ref, texts, options)
        return self._stream(call, timeout_s)

    async def predict_many(
        self,
        refs: Sequence[str],
        texts: Text | Iterable[Text],
        *,
        raw_scores: bool = False,
        timeout_s: float = PREDICT_TIMEOUT_S,
    ) -> Predictions:
        """Answers of several tasks to the same input or inputs, computed in one forward pass."""
        call = calls.predict_many(refs, texts, raw_scores=raw_scores)
        return await self._call(call, timeout_s)

    async def predict_rows(
        self,
        ref: str,
        inputs: Iterable[Text],
        *,
        progress: bool = False,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[PredictOptions],
    ) -> AsyncIterator[Output]:
        """As `Client.predict_rows`."""
        outputs = self._predictor(ref, options, timeout_s).predict(inputs)
        with row_progress(f"predict {ref}", count_rows(inputs), is_shown=progress) as advance:
            async with aclosing(outputs):  # a caller who stops reading stops the calls
                async for output in outputs:
                    advance(1)
                    yield output

    async def predict_frame(
        self,
        ref: str,
        frame: Any,
        text: str = "text",
        *,
        text_pair: str | None = None,
        question: str | None = None,
        prefix: str = PREFIX,
        progress: bool = False,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[PredictOptions],
    ) -> Any:
        """As `Client.predict_frame`."""
        columns = FrameColumns(text=text, text_pair=text_pair, question=question, prefix=prefix)
        inputs = read_frame(frame, columns)
        predictor = self._predictor(ref, options, timeout_s)
        with row_progress(f"predict {ref}", len(inputs), is_shown=progress) as advance:
            outputs = []
            async for output in predictor.predict(inputs):
                advance(1)
                outputs.append(output)
        by = pin_version(predictor.first) if predictor.first else ""
        return add_answers(frame, outputs, by, columns)

    def _predictor(
        self, ref: str, options: PredictOptions, timeout_s: float
    ) -> AsyncBatchPredictor:
        async def send(ref: str, inputs: Any, options: PredictOptions) -> Prediction:
            return await self.predict(ref, inputs, timeout_s=timeout_s, **options)

        return AsyncBatchPredictor(send, ref, options)

    # ------------------------------------------------------------ tasks

    async def tasks(self) -> AsyncIterator[Task]:
        """Every task of the tenant, page by page."""
        has_more, after = True, ""
        while has_more:
            page, has_more = await self._call(calls.list_tasks(after, limit=calls.PAGE_ROWS))
            for task in page:
                yield task
            after = page[-1].task if page else ""

    async def task(self, task: str) -> Task:
        return await self._call(calls.get_task(task))

    async def delete_task(self, task: str) -> None:
        await self._call(calls.delete_task(task))

    # ------------------------------------------------------------ versions and aliases

    async def register(
        self, task: str, adapter: Path | str | None = None, **options: Unpack[AdapterOptions]
    ) -> Version:
        """Publishes an adapter: a directory, as PEFT saves one, or a zip or tar of it. A prompt has
        no files, nor has an adapter from the server's hub (`source`).
        """
        return await self._call(
            calls.register(task, calls.check_adapter_path(adapter), options), None
        )

    async def versions(self, task: str) -> list[Version]:
        return await self._call(calls.list_versions(task))

    async def versions_made_from(self, file: Path | str) -> list[Version]:
        """The versions of all tasks that were trained on this file, to find what must be deleted
        with its rows.
        """
        return await self._call(calls.versions_made_from(file))

    async def versions_made_from_sha256(self, sha256: str) -> list[Version]:
        """The same by the digest of a stored file."""
        return await self._call(calls.versions_made_from_sha256(sha256))

    async def version(self, ref: str) -> Version:
        return await self._call(calls.get_version(ref))

    async def lineages(self, ref: str) -> list[Lineage]:
        """How the version came to be, each time that its content was published."""
        version = await self.version(ref)
        return read_lineages(await self._transfer.send(lineages_request(version)))

    async def report_page(self, ref: str) -> str:
        """The version's report as HTML; its JSON form is `report` in the version's lineage."""
        return await self._transfer.text(report_path(await self.version(ref)))

    async def report_link(self, ref: str) -> ReportLink:
        """A link that opens the version's report in a browser without a key, for five minutes."""
        request = report_link_request(await self.version(ref))
        body = await self._transfer.send(request)
        return read_report_link(self._settings.require_url(), body)

    async def promote(
        self,
        task: str,
        version: int,
        alias: str = "production",
        *,
        expected_version: int | None = None,
        override_reason: str | None = None,
    ) -> Alias:
        """Points the alias to the version; with `expected_version` only if it points there now."""
        return await self._call(
            calls.promote(task, version, alias, expected_version, override_reason)
        )

    async def rollback(self, task: str, alias: str = "production") -> Alias:
        return await self._call(calls.rollback(task, alias))

    async def delete_alias(
        self, task: str, alias: str, *, expected_version: int | None = None
    ) -> None:
        """Calls by the alias are refused from then on; its history stays.

        With `expected_version`, only if it points there now. Without `production`, the task answers
        only calls that name a version or another alias.
        """
        await self._call(calls.delete_alias(task, alias, expected_version))

    async def alias_history(self, task: str, alias: str = "production") -> list[AliasEvent]:
        return await self._call(calls.alias_history(task, alias))

    async def export(self, ref: str, directory: Path | str) -> list[Path]:
        """Writes the version's files, in PEFT's layout if PEFT supports the adapter kind."""
        with ExportFiles(to_path("directory", directory)) as files:
            async for name, data in self._stream(calls.export(ref)):
                files.write(name, data)
            return files.paths

    async def delete_version(self, task: str, version: int) -> None:
        await self._call(calls.delete_version(task, version))

    # ------------------------------------------------------------ the audit log

    async def audit_events(
        self, *, task: str = "", target: str = "", since: float | None = None, limit: int = 200
    ) -> list[AuditEvent]:
        """The newest changes of the tenant, oldest first, and attempts that were refused.

        `target` is such as `mail@production`, `mail@3`, or the id of a job, file or key.
        """
        events, has_more = list[AuditEvent](), True
        while has_more and len(events) < limit:
            num = min(limit - len(events), calls.PAGE_ROWS)
            before = events[0].sequence if events else None
            request = audit_request(task=task, target=target, since=since, before=before, limit=num)
            page, has_more = read_audit_page(await self._transfer.send(request))
            events = [*page, *events]
        return events

    # ------------------------------------------------------------ the server itself

    async def info(self) -> dict[str, Any]:
        """The server's base, precision, version and other facts about it."""
        return await self._transfer.send(Fetch(method="GET", path="/v1/info"))
