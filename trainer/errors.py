"""The trainer's error tree: faults of a file, a setting or a job, each with a stable code. Knows no
transport.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import ClassVar


class TrainerError(Exception):
    """The job failed."""

    code: ClassVar[str] = "trainer_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class BadSetting(TrainerError):
    """A training setting is unknown, or its value is out of range."""

    code = "bad_setting"

    def __init__(self, message: str | None = None, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.param = name or None


class BadDataset(TrainerError):
    """The file does not hold labelled rows that can be read."""

    code = "bad_dataset"


class BadEncoding(BadDataset):
    """The file is not UTF-8 text; save it as UTF-8."""

    code = "bad_encoding"


class BadLine(BadDataset):
    """A line of the file is not a usable row; correct or delete it."""

    code = "bad_line"

    def __init__(self, message: str | None = None, *, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class MissingColumn(BadDataset):
    """The file lacks a column that the job names."""

    code = "missing_column"

    def __init__(
        self,
        column: str,
        present: list[str],
        *,
        line: int = 0,
        suggested: Mapping[str, str] | None = None,
    ) -> None:
        """`suggested` columns by the field of the job that should name them."""
        where = f"Line {line}" if line else "The file"
        # a file without a header has a row in its place, with long or many cells
        names = [name if len(name) <= 64 else f"{name[:63]}…" for name in present[:50]]
        names += ["…"] if len(present) > 50 else []
        super().__init__(
            f"{where} has no column {column!r}; it has: {', '.join(names) or 'no columns'}. "
            f"{_remedy(suggested or {})}"
        )
        self.column, self.present, self.line = column, present, line


def _remedy(suggested: Mapping[str, str]) -> str:
    if not suggested:
        return (
            "Set text_column, text_pair_column and label_column to the names of the file's "
            "columns; the first line of a table must be its header."
        )
    fields = " and ".join(f"{field} to {name!r}" for field, name in suggested.items())
    options = " ".join(
        f"--{field.replace('_', '-')} {shlex.quote(name)}" for field, name in suggested.items()
    )
    return f"Set {fields} (`{options}`) if that is what the column holds."


class OneClass(BadDataset):
    """All rows have the same label, so there is nothing to learn; at least two are needed."""

    code = "one_class"


class AllDuplicates(BadDataset):
    """The rows repeat too few different texts to train on and to hold out."""

    code = "all_duplicates"


class TooManyClasses(BadDataset):
    """The file has too many distinct labels for its number of rows."""

    code = "too_many_classes"


class TooFewRows(BadDataset):
    """The file has too few rows to train on."""

    code = "too_few_rows"

    def __init__(self, message: str | None = None, *, rows: int = 0, minimum: int = 0) -> None:
        super().__init__(message)
        self.rows, self.minimum = rows, minimum


class TooManyRows(BadDataset):
    """The file has more rows than one job may train on; train on a sample of them."""

    code = "too_many_rows"


class UnlearnedLabels(BadDataset):
    """The dev or test file has labels that the training file lacks."""

    code = "unlearned_labels"


class UnknownFile(TrainerError):
    """There is no such file."""

    code = "unknown_file"


class FileTooLarge(TrainerError):
    """The upload is larger than this server allows."""

    code = "file_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The upload is larger than the limit of {limit} bytes.")
        self.limit = limit


class FileInUse(TrainerError):
    """A queued or running job needs the file; delete it when the job has ended."""

    code = "file_in_use"


class TenantInUse(TrainerError):
    """The tenant has a job that has not ended; cancel it, and erase the tenant again."""

    code = "tenant_in_use"


class StorageFailed(TrainerError):
    """The storage of files and jobs failed; nothing was stored."""

    code = "storage_failed"


class StorageFull(StorageFailed):
    """The server's disk is full; nothing was stored."""

    code = "storage_full"


class StorageBusy(StorageFailed):
    """The job database was locked by another writer for too long; try again."""

    code = "storage_busy"


class StorageUnavailable(StorageFailed):
    """The database or the store of files cannot be reached; nothing was stored. Try again later."""

    code = "storage_unavailable"


class OutOfFiles(StorageFailed):
    """The server has reached its limit of open files and connections; try again later."""

    code = "out_of_files"


class UnknownJob(TrainerError):
    """There is no such job."""

    code = "unknown_job"


class UnreadableJob(TrainerError):
    """The stored record of the job cannot be read."""

    code = "unreadable_job"

    def __init__(self, message: str | None = None, *, newer: bool = False) -> None:
        super().__init__(message)
        #: whether a newer release may be able to read it
        self.newer = newer


class JobEnded(TrainerError):
    """The job has already ended."""

    code = "job_ended"


class Busy(TrainerError):
    """Another dry run is being measured; try again when it is done."""

    code = "busy"
    retry_after_s = 5.0


class JobLost(TrainerError):
    """The job lost its worker twice without saving a new checkpoint, and is not tried again."""

    code = "job_lost"


class LeaseLost(TrainerError):
    """Another worker has taken over the job."""

    code = "lease_lost"


class BaseChanged(TrainerError):
    """The job was submitted for another base than this worker runs."""

    code = "base_changed"


class Cancelled(TrainerError):
    """The job was cancelled."""

    code = "cancelled"


class Paused(TrainerError):
    """The job was paused."""

    code = "paused"


class Stopping(TrainerError):
    """The worker is shutting down; the job returns to the queue."""

    code = "stopping"


class TrainingDiverged(TrainerError):
    """Training diverged; try a smaller learning rate."""

    code = "diverged"

    def __init__(self, message: str | None = None, *, step: int = 0) -> None:
        super().__init__(*([message] if message else []))
        self.step = step


class TensorsUnmoved(TrainerError):
    """Some trained tensors still have their initial values; nothing was published."""

    code = "tensors_unmoved"

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"{len(names)} trained tensors still have their initial values, such as "
            f"{', '.join(names[:5])}; nothing was published. More epochs or a larger learning rate "
            "may help."
        )
        self.names = names


class ReloadMismatch(TrainerError):
    """The saved adapter gives other answers than the trained one; nothing was published."""

    code = "reload_mismatch"
