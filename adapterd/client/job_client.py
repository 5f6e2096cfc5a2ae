"""Files and training jobs in the synchronous client.

`async_job_client` has the same methods; both send the call values of `job_calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Unpack

from adapterd.calls import file_calls, job_calls
from adapterd.calls.arguments import to_path
from adapterd.calls.call_options import TrainingOptions
from adapterd.calls.calls import PAGE_ROWS
from adapterd.calls.check_call import FileCheck, check_file
from adapterd.calls.dataset_name import dataset_name
from adapterd.client.connection import Connection
from adapterd.errors import AdapterdError
from adapterd.terminal.row_progress import show_job
from adapterd.values import Erasure, Estimate, File, Job, JobEvent
from adapterd.wire.transfer import OnBytes

OnJob = Callable[[Job], None]


class JobClient(Connection):
    """Uploads files, submits training jobs and follows them."""

    def train(
        self,
        task: str,
        data: Path | str,
        *,
        dev_data: Path | str | None = None,
        test_data: Path | str | None = None,
        on_job: OnJob | None = None,
        progress: bool = False,
        **options: Unpack[TrainingOptions],
    ) -> Job:
        """Uploads labelled rows, trains a version and waits for the job. Raises JobFailed.

        `dataset:reviews` instead of a path is the file that is stored under the name `reviews`.
        `progress` shows the job on stderr: a bar on a terminal, elsewhere a line per phase.

        >>> client.train("tone", "rows.csv", head="classify", settings={"preset": "fast"}).version
        1
        """
        made: list[File] = []
        try:
            ids = {}
            for field, path in job_calls.data_files(data, dev_data, test_data).items():
                file, is_new = self.store_file(path)
                made += [file] if is_new else []
                ids[field] = file.id
            job = self.create_job(task, ids, **options)
        except AdapterdError:
            for file in made:
                with suppress(AdapterdError):  # the first error is the one to report
                    self.delete_file(file.id)
            raise
        return self.wait(job.id, on_job, progress=progress)

    def upload(
        self,
        path: Path | str,
        purpose: str = file_calls.PURPOSE,
        on_bytes: OnBytes | None = None,
        *,
        name: str = "",
    ) -> File:
        """Stores a file; with a `name`, `dataset:NAME` stands for it from now on."""
        return self._transfer.upload(to_path("path", path), purpose, on_bytes, name)

    def store_file(
        self, path: Path | str, on_bytes: OnBytes | None = None, *, name: str = ""
    ) -> tuple[File, bool]:
        """The stored file with this content, uploaded unless it is there, and whether it was."""
        source = to_path("path", path)
        if (dataset := dataset_name(source)) is not None:
            return self.dataset(dataset), False
        body = self._transfer.send(file_calls.find_content(source))
        if file := file_calls.read_content(source, body, name):
            return file, False
        return self.upload(source, on_bytes=on_bytes, name=name), True

    def files(
        self, *, name: str = "", sha256: str = "", id_prefix: str = "", purpose: str = ""
    ) -> Iterator[File]:
        """Every file of the tenant to which this applies, newest first, page by page."""
        has_more, after = True, ""
        while has_more:
            request = file_calls.list_files(
                after, name=name, sha256=sha256, id_prefix=id_prefix, purpose=purpose
            )
            page, has_more = file_calls.read_files(self._transfer.send(request))
            yield from page
            after = page[-1].id if page else ""

    def dataset(self, name: str) -> File:
        """The file that is stored under a name, or has this id."""
        body = self._transfer.send(file_calls.find_dataset(name))
        return file_calls.read_dataset(name, body)

    def delete_file(self, file_id: str) -> None:
        """Deletes a file that no queued or running job needs."""
        self._transfer.send(file_calls.delete_file(file_id))

    def erase_file(self, file_id: str, *, dry_run: bool = False) -> Erasure:
        """Deletes the file with every version made from it, and what jobs noted of it."""
        body = self._transfer.send(file_calls.erase_file(file_id, dry_run=dry_run))
        return file_calls.read_erasure(body["erasure"])

    def erase_tenant(self, confirm: str = "", *, dry_run: bool = False) -> Erasure:
        """Erases all of the key's tenant, whose name confirms it; its keys stop to work."""
        body = self._transfer.send(file_calls.erase_tenant(confirm, dry_run=dry_run))
        return file_calls.read_erasure(body)

    def check_file(self, file_ids: dict[str, str], **options: Unpack[TrainingOptions]) -> FileCheck:
        """The findings that a job on these uploaded files would report; nothing is queued."""
        return self._call(check_file(file_ids, options), None)

    def create_job(
        self, task: str, file_ids: dict[str, str], **options: Unpack[TrainingOptions]
    ) -> Job:
        """Submits a job on uploaded files: `file_id`, optionally `dev_file_id`, `test_file_id`."""
        return self._call(job_calls.create_job(task, file_ids, options))

    def job(self, job_id: str) -> Job:
        return self._call(job_calls.get_job(job_id))

    def jobs(self, id_prefix: str = "") -> Iterator[Job]:
        """Every job of the tenant whose id begins so, newest first, page by page."""
        has_more, after = True, ""
        while has_more:
            page, has_more = self._call(job_calls.list_jobs(after, PAGE_ROWS, id_prefix))
            yield from page
            after = page[-1].id if page else ""

    def cancel_job(self, job_id: str) -> Job:
        return self._call(job_calls.cancel_job(job_id))

    def watch_job(self, job_id: str) -> Iterator[Job]:
        """The job now and after every change, until it ends."""
        return self._stream(job_calls.watch_job(job_id))

    def wait(self, job_id: str, on_job: OnJob | None = None, *, progress: bool = False) -> Job:
        """Waits until the job has succeeded. Raises JobFailed if it ends in any other state."""
        job = self.job(job_id)
        with show_job(job.task, is_shown=progress) as show:
            for job in self.watch_job(job_id):
                show(job)
                if on_job:
                    on_job(job)
        return job_calls.require_success(job)

    def pause_job(self, job_id: str) -> Job:
        """Pauses a job: a queued one at once, a running one after its current step."""
        return self._call(job_calls.pause_job(job_id))

    def resume_job(self, job_id: str) -> Job:
        """Puts a paused job back into the queue."""
        return self._call(job_calls.resume_job(job_id))

    def job_events(
        self, job_id: str, after: int = 0, codes: Sequence[str] = ()
    ) -> Iterator[JobEvent]:
        """The job's events numbered above `after`, oldest first; `codes` filters by event code."""
        has_more = True
        while has_more:
            page, has_more = self._call(job_calls.list_job_events(job_id, after, codes))
            yield from page
            after = page[-1].number if page else after

    def follow_job(self, job_id: str, after: int = 0) -> Iterator[Job | JobEvent]:
        """The job after every change and its events as they happen, until it ends."""
        return self._stream(job_calls.watch(job_id, after))

    def estimate(
        self, task: str, file_ids: dict[str, str], **options: Unpack[TrainingOptions]
    ) -> Estimate:
        """What a job with these arguments of `create_job` would need; nothing is queued."""
        call = job_calls.estimate_job(task, file_ids, options)
        return self._call(call, job_calls.ESTIMATE_TIMEOUT_S)
