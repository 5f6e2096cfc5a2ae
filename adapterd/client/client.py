"""The synchronous client: plain values in, plain values out, typed errors.

`async_client` has the same methods for asyncio; both send the call values of `calls`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Unpack

from adapterd.calls import calls
from adapterd.calls.arguments import to_path
from adapterd.calls.call_options import AdapterOptions, GenerationOptions, PredictOptions
from adapterd.calls.inputs import Text
from adapterd.client.batch_predictor import BatchPredictor
from adapterd.client.channel import PREDICT_TIMEOUT_S
from adapterd.client.export_files import ExportFiles
from adapterd.client.job_client import JobClient
from adapterd.terminal.row_progress import count_rows, row_progress
from adapterd.values import (
    Alias,
    AliasEvent,
    CompletionChunk,
    Output,
    Prediction,
    Predictions,
    ReportLink,
    Task,
    Version,
)
from adapterd.wire.transfer import Fetch, read_report_link, report_link_request, report_path


class Client(JobClient):
    """One server, reached over gRPC and, for files, HTTP. Safe to share between threads."""

    # ------------------------------------------------------------ answers

    def predict(
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
        return self._call(call, timeout_s)

    def predict_stream(
        self,
        ref: str,
        texts: Text | Iterable[Text],
        *,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[GenerationOptions],
    ) -> Iterator[CompletionChunk]:
        """The completions of one input or a list of them, streamed in chunks.

        Closing the iterator cancels the generation.
        """
        call = calls.predict_stream(ref, texts, options)
        return self._stream(call, timeout_s)

    def predict_many(
        self,
        refs: Sequence[str],
        texts: Text | Iterable[Text],
        *,
        raw_scores: bool = False,
        timeout_s: float = PREDICT_TIMEOUT_S,
    ) -> Predictions:
        """Answers of several tasks to the same input or inputs, computed in one forward pass."""
        call = calls.predict_many(refs, texts, raw_scores=raw_scores)
        return self._call(call, timeout_s)

    def predict_rows(
        self,
        ref: str,
        inputs: Iterable[Text],
        *,
        progress: bool = False,
        timeout_s: float = PREDICT_TIMEOUT_S,
        **options: Unpack[PredictOptions],
    ) -> Iterator[Output]:
        """Answers for any number of inputs, in order, all from the version that answers first.

        Sends them in calls of a few rows while the answers are read, tries again where the server
        is not available for a moment, and gives a RowError for an input without an answer.

        >>> [output.label for output in client.predict_rows("mood", ["a good day", "a bad day"])]
        ['good', 'bad']
        """

        def send(ref: str, inputs: Any, options: PredictOptions) -> Prediction:
            return self.predict(ref, inputs, timeout_s=timeout_s, **options)

        outputs = BatchPredictor(send, ref, options).predict(inputs)
        with row_progress(f"predict {ref}", count_rows(inputs), is_shown=progress) as advance:
            with closing(outputs):  # a caller who stops reading stops the calls
                for output in outputs:
                    advance(1)
                    yield output

    # ------------------------------------------------------------ tasks

    def tasks(self) -> Iterator[Task]:
        """Every task of the tenant, page by page."""
        has_more, after = True, ""
        while has_more:
            page, has_more = self._call(calls.list_tasks(after, limit=calls.PAGE_ROWS))
            yield from page
            after = page[-1].task if page else ""

    def task(self, task: str) -> Task:
        return self._call(calls.get_task(task))

    def delete_task(self, task: str) -> None:
        self._call(calls.delete_task(task))

    # ------------------------------------------------------------ versions and aliases

    def register(
        self, task: str, directory: Path | str | None = None, **options: Unpack[AdapterOptions]
    ) -> Version:
        """Publishes an adapter directory, for example one saved by PEFT; a prompt has none."""
        return self._call(
            calls.register(task, calls.check_adapter_directory(directory), options), None
        )

    def versions(self, task: str) -> list[Version]:
        return self._call(calls.list_versions(task))

    def versions_made_from(self, file: Path | str) -> list[Version]:
        """The versions of all tasks that were trained on this file, to find what must be deleted
        with its rows.
        """
        return self._call(calls.versions_made_from(file))

    def version(self, ref: str) -> Version:
        return self._call(calls.get_version(ref))

    def report_page(self, ref: str) -> str:
        """The version's report as HTML; its JSON form is `report` in the version's lineage."""
        return self._transfer.text(report_path(self.version(ref)))

    def report_link(self, ref: str) -> ReportLink:
        """A link that opens the version's report in a browser without a key, for five minutes."""
        request = report_link_request(self.version(ref))
        body = self._transfer.send(request)
        return read_report_link(self._settings.require_url(), body)

    def promote(
        self,
        task: str,
        version: int,
        alias: str = "production",
        *,
        expected_version: int | None = None,
        override_reason: str | None = None,
    ) -> Alias:
        """Points the alias to the version; with `expected_version` only if it points there now.

        A version that its report calls worse than production is refused, unless there is an
        `override_reason`, which stays in the alias's history.
        """
        return self._call(calls.promote(task, version, alias, expected_version, override_reason))

    def rollback(self, task: str, alias: str = "production") -> Alias:
        return self._call(calls.rollback(task, alias))

    def delete_alias(self, task: str, alias: str, *, expected_version: int | None = None) -> None:
        """Calls by the alias are refused from then on; its history stays.

        With `expected_version`, only if it points there now. Without `production`, the task answers
        only calls that name a version or another alias.
        """
        self._call(calls.delete_alias(task, alias, expected_version))

    def alias_history(self, task: str, alias: str = "production") -> list[AliasEvent]:
        return self._call(calls.alias_history(task, alias))

    def export(self, ref: str, directory: Path | str) -> list[Path]:
        """Writes the version's files, in PEFT's layout if PEFT supports the adapter kind."""
        with ExportFiles(to_path("directory", directory)) as files:
            for name, data in self._stream(calls.export(ref)):
                files.write(name, data)
            return files.paths

    def delete_version(self, task: str, version: int) -> None:
        self._call(calls.delete_version(task, version))

    # ------------------------------------------------------------ the server itself

    def info(self) -> dict[str, Any]:
        """The server's base, precision, version and other facts about it."""
        return self._transfer.send(Fetch(method="GET", path="/v1/info"))
