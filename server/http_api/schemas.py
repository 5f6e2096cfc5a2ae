"""Bodies of requests and responses of the HTTP API.

Unknown fields of a request are refused. Nothing that the server decides is a field of one.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

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

    task: str
    file_id: str
    dev_file_id: str | None = None
    test_file_id: str | None = None
    head: str | None = None
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None
    split_seed: Whole | None = None
    promote: bool | None = None
    kind: str | None = None
    pooling: str | None = None
    settings: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    suffix: str | None = None
    dry_run: bool = False


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


class VersionsOut(BaseModel):
    """All versions of a task, oldest first."""

    versions: list[VersionView]


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
    """OpenAI's file object."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str = "processed"

    @classmethod
    def of(cls, view: FileView) -> FileOut:
        return cls(
            id=view.id,
            bytes=view.bytes,
            created_at=view.created_at,
            filename=view.filename,
            purpose=view.purpose,
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


class StateOut(BaseModel):
    """Health in a word, and a sentence where something is wrong."""

    status: str
    reason: str | None = None
    trainer: str | None = None
