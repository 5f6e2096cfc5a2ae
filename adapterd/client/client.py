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
from adapterd.calls.batches import pin_version
from adapterd.calls.call_options import AdapterOptions, GenerationOptions, PredictOptions
from adapterd.calls.frames import FrameColumns, add_answers, read_frame
from adapterd.calls.inputs import Text
from adapterd.client.batch_predictor import BatchPredictor
from adapterd.client.channel import PREDICT_TIMEOUT_S
from adapterd.client.export_files import ExportFiles
from adapterd.client.job_client import JobClient
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
        turns, or a mapping or dataclass with the field names of the HTTP API.

        >>> prediction = client.predict("mood", ["a good day", {"text": "a bad day"}])
        >>> [output.label for output in prediction.raise_for_errors().outputs]
        ['good', 'bad']
        >>> client.predict("mood", ["a good day", 3])
        Traceback (most recent call last):
        adapterd.errors.InvalidInput: Input 1 is an int (3); an input is a text, ...
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
        """Answers of several tasks to the same input or inputs, computed in one forward pass.

        >>> both = client.predict_many(["mood", "mood@1"], "a good day").raise_for_errors()
        >>> [(each.version, each.outputs[0].label) for each in both]
        [(1, 'good'), (1, 'good')]
        """
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
        outputs = self._predictor(ref, options, timeout_s).predict(inputs)
        with row_progress(f"predict {ref}", count_rows(inputs), is_shown=progress) as advance:
            with closing(outputs):  # a caller who stops reading stops the calls
                for output in outputs:
                    advance(1)
                    yield output

    def predict_frame(
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
        """A copy of a DataFrame of pandas, with its index, and the answers as new columns.

        `text` names the column with the texts, `text_pair` that with the second texts of pairs,
        and `question` that with questions, whose contexts are in `text`. A row without an answer
        has its error in `predicted_error`.

        >>> frame = pandas.DataFrame({"review": ["a good day", "a bad day"]}, index=[7, 9])
        >>> client.predict_frame("mood", frame, text="review").predicted_label
        7    good
        9     bad
        Name: predicted_label, dtype: str
        """
        columns = FrameColumns(text=text, text_pair=text_pair, question=question, prefix=prefix)
        inputs = read_frame(frame, columns)
        predictor = self._predictor(ref, options, timeout_s)
        with row_progress(f"predict {ref}", len(inputs), is_shown=progress) as advance:
            outputs = []
            for output in predictor.predict(inputs):
                advance(1)
                outputs.append(output)
        by = pin_version(predictor.first) if predictor.first else ""
        return add_answers(frame, outputs, by, columns)

    def _predictor(self, ref: str, options: PredictOptions, timeout_s: float) -> BatchPredictor:
        def send(ref: str, inputs: Any, options: PredictOptions) -> Prediction:
            return self.predict(ref, inputs, timeout_s=timeout_s, **options)

        return BatchPredictor(send, ref, options)

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
        self, task: str, adapter: Path | str | None = None, **options: Unpack[AdapterOptions]
    ) -> Version:
        """Publishes an adapter: a directory, as PEFT saves one, or a zip or tar of it. A prompt has
        no files, nor has an adapter from the server's hub (`source`).
        """
        return self._call(calls.register(task, calls.check_adapter_path(adapter), options), None)

    def versions(self, task: str) -> list[Version]:
        return self._call(calls.list_versions(task))

    def versions_made_from(self, file: Path | str) -> list[Version]:
        """The versions of all tasks that were trained on this file, to find what must be deleted
        with its rows.
        """
        return self._call(calls.versions_made_from(file))

    def versions_made_from_sha256(self, sha256: str) -> list[Version]:
        """The same by the digest of a stored file."""
        return self._call(calls.versions_made_from_sha256(sha256))

    def version(self, ref: str) -> Version:
        return self._call(calls.get_version(ref))

    def lineages(self, ref: str) -> list[Lineage]:
        """How the version came to be, each time that its content was published."""
        version = self.version(ref)
        return read_lineages(self._transfer.send(lineages_request(version)))

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

    # ------------------------------------------------------------ the audit log

    def audit_events(
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
            page, has_more = read_audit_page(self._transfer.send(request))
            events = [*page, *events]
        return events

    # ------------------------------------------------------------ the server itself

    def info(self) -> dict[str, Any]:
        """The server's base, precision, version and other facts about it."""
        return self._transfer.send(Fetch(method="GET", path="/v1/info"))
