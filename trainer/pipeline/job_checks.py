"""The checks of a job's files before it is queued: one interface, whether this process or a child
of it runs them. Queues nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.errors import BadDataset, TrainerError
from trainer.jobs.job_files import ReadableFiles
from trainer.jobs.values import JobSpec
from trainer.pipeline.admission import Admission
from trainer.pipeline.sample import Sample, take_sample


class TooMuchMemory(BadDataset):
    """Reading the files needs more memory than the limit; train on a sample of the rows."""

    code = "too_much_memory"


class TooMuchTime(BadDataset):
    """Reading the files takes longer than the limit; train on a sample of the rows."""

    code = "too_much_time"


class ReaderCrashed(BadDataset):
    """The process that read the files crashed; the files may be damaged."""

    code = "reader_crashed"


class CheckCancelled(TrainerError):
    """The check was cancelled, because its caller disconnected."""

    code = "check_cancelled"


class CheckFailed(TrainerError):
    """The process of the check was killed before it finished; try again."""

    code = "check_failed"
    retry_after_s = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What submitting a job would report about its files. `ok`: it would be queued."""

    ok: bool
    #: of the training file, and of each part of the split where there is one
    rows: dict[str, int]
    #: what would be trained; with too few rows not the requested kind
    kind: str
    #: as JSON
    findings: list[dict[str, Any]]


class JobChecks(Protocol):
    """Setting `cancelled` ends a running check, where it can be interrupted."""

    def check(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Checked:
        """Raises BadSetting or UnknownFile."""
        ...

    def admit(self, spec: JobSpec, cancelled: threading.Event | None = None) -> None:
        """Raises the error that prevents the job from being queued."""
        ...

    def sample(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Sample:
        """Raises what `admit` does."""
        ...


def in_process_job_checks(
    files: ReadableFiles,
    info: EngineInfo | None,
    tokenizer: Tokenizer | None,
    max_rows: int,
    clock: Callable[[], float] = time.monotonic,
) -> InProcessJobChecks:
    admission = Admission(files=files, info=info, tokenizer=tokenizer, max_rows=max_rows)
    return InProcessJobChecks(admission=admission, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcessJobChecks:
    """Runs the checks in this process; they cannot be cancelled."""

    admission: Admission
    clock: Callable[[], float]

    def check(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Checked:
        del cancelled
        examination = self.admission.examine(spec)
        return Checked(
            ok=examination.error is None,
            rows=examination.rows,
            kind=examination.spec.kind,
            findings=[finding.to_json() for finding in examination.findings],
        )

    def admit(self, spec: JobSpec, cancelled: threading.Event | None = None) -> None:
        del cancelled
        self.admission.prepare(spec)

    def sample(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Sample:
        del cancelled
        admission = self.admission
        assert admission.info is not None, "a sample is measured on a base"
        assert admission.tokenizer is not None, "a base has a tokenizer"
        prepared = admission.prepare(spec)
        return take_sample(prepared, admission.info, admission.tokenizer, self.clock)
