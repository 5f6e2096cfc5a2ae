"""The values that callers of the trainer pass in and get back. Knows no storage and no engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.jobs.states import Phase, Status
from trainer.settings.settings import TrainingSettings

__all__ = ["Claim", "FileQuery", "FileRecord", "Job", "JobSpec", "TrainingSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """An uploaded file, as its owner sees it."""

    id: str
    tenant: str
    filename: str
    purpose: str
    bytes: int
    sha256: str
    created_at: float
    #: the name under which its owner stored it; empty where it has none, or the name moved on
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileQuery:
    """Which files of a tenant are listed; what is empty is not asked about."""

    id_prefix: str = ""
    name: str = ""
    sha256: str = ""
    purpose: str = ""
    oldest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A request to train one version of a task from uploaded files."""

    tenant: str
    task: str
    file_id: str
    dev_file_id: str | None = None
    test_file_id: str | None = None
    head: str = "classify"
    text_column: str = "text"
    text_pair_column: str | None = None
    label_column: str = "label"
    split_seed: int = 0
    promote: bool = False
    kind: str = "lora"
    #: empty: mean pooling where the head allows it, else the pooling that the head needs
    pooling: str = ""
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    #: names of what the caller set explicitly, `kind` and settings; the trainer changes none
    chosen: tuple[str, ...] = ()
    #: notes of the job's owner; the trainer does not read them
    metadata: dict[str, str] = field(default_factory=dict)
    suffix: str = ""
    #: {"fingerprint", "name"} of the base that it was submitted for
    base: dict[str, str] = field(default_factory=dict)

    @property
    def file_ids(self) -> list[str]:
        return [each for each in (self.file_id, self.dev_file_id, self.test_file_id) if each]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"settings": self.settings.model_dump()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job at one moment; `revision` grows with every change."""

    id: str
    tenant: str
    spec: JobSpec
    status: Status
    phase: Phase
    progress: float
    eta_s: float | None
    created_at: float
    finished_at: float | None
    attempt: int
    version: int | None
    digest: str | None
    result: dict[str, Any]
    error_code: str | None
    error_message: str | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that one worker holds, and the token that proves it."""

    job: Job
    token: int
