"""Bodies of requests and responses of the HTTP API.

Unknown fields of a request are refused. Nothing that the server decides is a field of one.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from server.service.history_views import AuditEventView, ErasureView, LineageView
from server.service.views import (
    AliasView,
    EventView,
    FileView,
    JobEventView,
    JobView,
    TaskView,
    VersionView,
)

#: a whole number that a database holds
Seconds = Annotated[float, Field(allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
#: the number of an event, or 0 for what is before the first
EventNumber = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AliasBody(Body):
    """Where to point an alias; with `expected_version`, only if it still points there. A version
    that its report calls worse than production needs `override` and a `reason`.
    """

    version: Annotated[int, Field(ge=1, le=2**63 - 1)]
    expected_version: Annotated[int | None, Field(ge=0, le=2**63 - 1)] = None
    override: bool = False
    reason: str = ""


class JobBody(Body):
    """A training job. Fields that are left out get the trainer's defaults."""

    task: str = Field(description="the task that gets the new version")
    file_id: str = Field(description="an uploaded file of labelled rows")
    dev_file_id: str | None = Field(None, description="an uploaded file of dev rows")
    test_file_id: str | None = Field(None, description="an uploaded file of test rows")
    head: str | None = Field(None, description="what the task answers; default: `classify`")
    text_column: str | None = Field(None, description="default: `text`")
    text_pair_column: str | None = Field(None, description="column of second texts")
    label_column: str | None = Field(None, description="default: `label`")
    split_seed: Whole | None = Field(None, description="seed of the split into parts")
    promote: bool | None = Field(None, description="make the version `production` unless worse")
    kind: str | None = Field(None, description="kind of the adapter; default: by the rows")
    pooling: str | None = Field(None, description="default: the first that the base supports")
    settings: dict[str, Any] | None = Field(None, description="settings, docs/training.md")
    metadata: dict[str, str] | None = Field(None, description="kept with the job")
    suffix: str | None = Field(None, description="kept with the job")
    dry_run: bool = Field(default=False, description="only estimate time and memory")


class TimingOut(BaseModel):
    """Milliseconds."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float


class ComposedOut(BaseModel):
    """A version whose adapter acted in a composition."""

    task: str
    version: int
    digest: str
    weight: float


class PredictOut(BaseModel):
    """One output per input, in order."""

    task: str
    version: int
    digest: str
    composed: list[ComposedOut] = []
    outputs: list[dict[str, Any]]
    timing: TimingOut


class ManyOut(BaseModel):
    """One result per task, in order: task, version, digest and outputs, or task and error."""

    results: list[dict[str, Any]]
    timing: TimingOut


class TasksOut(BaseModel):
    """A page."""

    tasks: list[TaskView]
    has_more: bool


class ReportLinkOut(BaseModel):
    """A link to a report's page: a URL without scheme and host, and when it expires (Unix time)."""

    url: str
    expires_at: int


class VersionsOut(BaseModel):
    """All versions of a task, oldest first."""

    versions: list[VersionView]


class LineagesOut(BaseModel):
    """Every lineage of a version, oldest first."""

    lineages: list[LineageView]


class AuditOut(BaseModel):
    """A page of the audit log, oldest first."""

    events: list[AuditEventView]
    has_more: bool


class AliasesOut(BaseModel):
    """All aliases of a task."""

    aliases: list[AliasView]


class HistoryOut(BaseModel):
    """The moves of an alias, oldest first."""

    events: list[EventView]


class JobsOut(BaseModel):
    """A page, newest first."""

    jobs: list[JobView]
    has_more: bool


class JobEventsOut(BaseModel):
    """A page, oldest first."""

    events: list[JobEventView]
    has_more: bool


class FileOut(BaseModel):
    """OpenAI's file object, with the digest of its content and the name it is stored under."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str = "processed"
    sha256: str
    name: str | None

    @classmethod
    def of(cls, view: FileView) -> FileOut:
        return cls(
            id=view.id,
            bytes=view.bytes,
            created_at=view.created_at,
            filename=view.filename,
            purpose=view.purpose,
            sha256=view.sha256,
            name=view.name,
        )


class FilesOut(BaseModel):
    """OpenAI's list object."""

    object: str = "list"
    data: list[FileOut]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None


class FileDeletedOut(BaseModel):
    """OpenAI's response to a deletion."""

    id: str
    object: str = "file"
    deleted: bool = True
    erasure: ErasureView | None = Field(
        default=None, description="with `versions`: all that went, or would go"
    )


class StateOut(BaseModel):
    """Health in a word, and a sentence where something is wrong."""

    status: str
    reason: str | None = None
    trainer: str | None = None
