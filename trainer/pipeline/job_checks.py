"""What is to be known of a job's files before it queues, asked in one place whoever looks: this
process, or a child of it. Queues nothing.
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
    """The files need more memory to be read than they may take."""

    code = "too_much_memory"


class TooMuchTime(BadDataset):
    """The files take longer to be read than they may."""

    code = "too_much_time"


class ReaderCrashed(BadDataset):
    """The process that read the files crashed over them; nothing else was harmed."""

    code = "reader_crashed"


class CheckCancelled(TrainerError):
    """Whoever asked for the check is gone."""

    code = "check_cancelled"


class CheckFailed(TrainerError):
    """The check was ended from outside before it was done; try again."""

    code = "check_failed"
    retry_after_s = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What submitting a job would say of its files. `ok`: it would be queued."""

    ok: bool
    #: of the training file, and of each part of the split where there is one
    rows: dict[str, int]
    #: what would be trained, which is not always all that was asked for
    kind: str
    #: as JSON
    findings: list[dict[str, Any]]


class JobChecks(Protocol):
    """Setting `cancelled` ends a check that is under way, where it can be ended."""

    def check(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Checked:
        """Raises BadSetting or UnknownFile."""
        ...

    def admit(self, spec: JobSpec, cancelled: threading.Event | None = None) -> None:
        """Raises whatever keeps the job from being queued."""
        ...

    def sample(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Sample:
        """Raises what `admit` does."""
        ...


def in_process_job_checks(
    files: ReadableFiles,
    info: EngineInfo,
    tokenizer: Tokenizer,
    max_rows: int,
    clock: Callable[[], float] = time.monotonic,
) -> InProcessJobChecks:
    admission = Admission(files=files, info=info, tokenizer=tokenizer, max_rows=max_rows)
    return InProcessJobChecks(admission=admission, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcessJobChecks:
    """In this process, to their end."""

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
        prepared = admission.prepare(spec)
        return take_sample(prepared, admission.info, admission.tokenizer, self.clock)
