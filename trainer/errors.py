"""The trainer's error tree: what can be wrong with a file, a setting or a job, each with a stable
code.
"""

from __future__ import annotations

from typing import ClassVar


class TrainerError(Exception):
    """The job could not be done."""

    code: ClassVar[str] = "trainer_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class BadSetting(TrainerError):
    """A training setting is unknown or out of its range."""

    code = "bad_setting"

    def __init__(self, message: str | None = None, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.param = name or None


class BadDataset(TrainerError):
    """The file cannot be read as labelled rows."""

    code = "bad_dataset"


class BadEncoding(BadDataset):
    """The file is not UTF-8 text."""

    code = "bad_encoding"


class BadLine(BadDataset):
    """A line of the file cannot be used."""

    code = "bad_line"

    def __init__(self, message: str | None = None, *, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class MissingColumn(BadDataset):
    """The file has no such column."""

    code = "missing_column"

    def __init__(self, column: str, present: list[str], *, line: int = 0) -> None:
        where = f"Line {line}" if line else "The file"
        # where a text stands in place of the header, its cells are long, or many
        shown = [name if len(name) <= 64 else f"{name[:63]}…" for name in present[:50]]
        shown += ["…"] if len(present) > 50 else []
        super().__init__(
            f"{where} has no column {column!r}; it has: {', '.join(shown) or 'none'}. Name the "
            "columns by text_column, text_pair_column and label_column, and in the first line of a "
            "table."
        )
        self.column, self.present, self.line = column, present, line


class OneClass(BadDataset):
    """All rows carry the same label; there is nothing to learn."""

    code = "one_class"


class AllDuplicates(BadDataset):
    """The rows repeat a few texts; there is nothing to hold out and nothing to learn."""

    code = "all_duplicates"


class TooManyClasses(BadDataset):
    """There are too many distinct labels for the number of rows."""

    code = "too_many_classes"


class TooFewRows(BadDataset):
    """There are too few rows to train on."""

    code = "too_few_rows"

    def __init__(self, message: str | None = None, *, rows: int = 0, minimum: int = 0) -> None:
        super().__init__(message)
        self.rows, self.minimum = rows, minimum


class TooManyRows(BadDataset):
    """There are more rows than one job may train on."""

    code = "too_many_rows"


class UnlearnedLabels(BadDataset):
    """The dev or test file holds labels that the training rows do not."""

    code = "unlearned_labels"


class UnknownFile(TrainerError):
    """There is no such file."""

    code = "unknown_file"


class FileTooLarge(TrainerError):
    """The upload is larger than allowed."""

    code = "file_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The upload is larger than the limit of {limit} bytes.")
        self.limit = limit


class FileInUse(TrainerError):
    """A queued or running job still needs the file."""

    code = "file_in_use"


class StorageFailed(TrainerError):
    """The storage of files and jobs failed; nothing of this was kept."""

    code = "storage_failed"


class StorageFull(StorageFailed):
    """The server's disk is full; nothing of this was kept."""

    code = "storage_full"


class StorageBusy(StorageFailed):
    """Another writer held the job database for too long; try again."""

    code = "storage_busy"


class OutOfFiles(StorageFailed):
    """The server has as many files and connections open as it may; try again later."""

    code = "out_of_files"


class UnknownJob(TrainerError):
    """There is no such job."""

    code = "unknown_job"


class UnreadableJob(TrainerError):
    """The record of the job cannot be read."""

    code = "unreadable_job"

    def __init__(self, message: str | None = None, *, newer: bool = False) -> None:
        super().__init__(message)
        #: whether a newer release may be able to read it
        self.newer = newer


class JobEnded(TrainerError):
    """The job has already ended."""

    code = "job_ended"


class Busy(TrainerError):
    """Another job is being measured; try again when it is done."""

    code = "busy"
    retry_after_s = 5.0


class JobLost(TrainerError):
    """The job was lost with its worker twice without a new checkpoint and is not tried again."""

    code = "job_lost"


class LeaseLost(TrainerError):
    """Another worker holds the job now."""

    code = "lease_lost"


class BaseChanged(TrainerError):
    """The job began on another base."""

    code = "base_changed"


class Cancelled(TrainerError):
    """The job was cancelled."""

    code = "cancelled"


class Paused(TrainerError):
    """The job was paused."""

    code = "paused"


class Stopping(TrainerError):
    """The worker is stopping; the job goes back to the queue."""

    code = "stopping"


class TrainingDiverged(TrainerError):
    """Training diverged; a smaller learning rate may help."""

    code = "diverged"

    def __init__(self, message: str | None = None, *, step: int = 0) -> None:
        super().__init__(*([message] if message else []))
        self.step = step


class TensorsUnmoved(TrainerError):
    """Trained tensors never moved, so nothing was learned in them."""

    code = "tensors_unmoved"

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"{len(names)} trained tensors never moved: {', '.join(names[:5])}.")
        self.names = names


class ReloadMismatch(TrainerError):
    """The saved files do not answer as the trained adapter did; nothing was published."""

    code = "reload_mismatch"
