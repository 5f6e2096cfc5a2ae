"""Views of tasks, versions, aliases, jobs and files, which both transports render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from adapters_registry.values import Alias, AliasEvent, Task, Version
from engine.heads import is_generation
from engine.port import EngineInfo
from trainer.jobs.events import Event
from trainer.jobs.values import FileRecord, Job

#: the source of a version that was registered from files, and of one that a job made
UPLOAD, TRAINING = "upload", "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """The summary of a task."""

    task: str
    head: str
    latest_version: int
    aliases: Mapping[str, int]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version, with the aliases that point to it now."""

    task: str
    version: int
    digest: str
    kind: str
    head: str
    labels: Sequence[str]
    num_parameters: int
    num_bytes: int
    created_at: float
    source: str
    aliases: Sequence[str]
    lineage: Mapping[str, Any]
    #: of a registered version: files of its directory that are not part of it
    left_out: Sequence[str]
    #: of a registered version: doubts about its files
    warnings: Sequence[str]
    #: of a registration: whether its content was a version of the task already
    already_published: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasView:
    """An alias and its version."""

    task: str
    alias: str
    version: int
    digest: str
    #: of a promotion: what callers of the alias should know
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One move of an alias; a deletion has the version that it pointed to."""

    version: int
    previous_version: int | None
    at: float
    action: str
    #: why a gate was overridden; empty where none was
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job without its tenant. `revision` grows with every change."""

    id: str
    task: str
    status: str
    phase: str
    progress: float
    eta_s: float | None
    created_at: float
    finished_at: float | None
    version: int | None
    digest: str | None
    result: Mapping[str, Any]
    error_code: str | None
    error_message: str | None
    revision: int
    ended: bool
    #: the submitted fields as JSON, without the tenant
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEventView:
    """One event of a job; `number` counts from 1 within the job."""

    number: int
    created_at: float
    level: str
    code: str
    message: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """An uploaded file, with OpenAI's field names."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    #: not OpenAI's: the digest of the content, and the name under which it is stored, if any
    sha256: str
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcView:
    """Where clients reach gRPC: `address`, or without it `port` on the host of their URL."""

    port: int
    address: str | None = None
    #: whether this server itself encrypts both transports
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoView:
    """Version, base and capabilities of this server."""

    version: str
    base: str
    fingerprint: str
    family: str
    dtype: str
    device: str
    threads: int
    max_tokens: int
    kinds: Sequence[str]
    heads: Sequence[str]
    sites: Sequence[str]
    grpc: GrpcView


def task_view(task: Task) -> TaskView:
    return TaskView(
        task=task.name,
        head=task.latest.manifest.semantics["head"]["kind"],
        latest_version=task.latest.number,
        aliases={alias.name: alias.version for alias in task.aliases},
        created_at=task.created_at,
    )


def version_view(
    version: Version, aliases: Sequence[Alias], report: Mapping[str, Any] | None = None
) -> VersionView:
    """`report` replaces the summary in the lineage."""
    head = version.manifest.semantics["head"]
    lineage = version.lineage if version.source != TRAINING else {}
    return VersionView(
        task=version.task,
        version=version.number,
        digest=version.digest,
        kind=_kind_of(version),
        head=head["kind"],
        labels=list(head.get("labels", [])),
        num_parameters=version.num_parameters,
        num_bytes=version.num_bytes,
        created_at=version.created_at,
        source=version.source,
        aliases=sorted(alias.name for alias in aliases if alias.version == version.number),
        lineage={**version.lineage, "report": report} if report else version.lineage,
        left_out=list(lineage.get("left_out", [])),
        warnings=list(lineage.get("warnings", [])),
    )


def _kind_of(version: Version) -> str:
    """The kind as jobs name it: the manifest of a prompt has that of a head without tensors."""
    is_prompt = is_generation(version.manifest.semantics["head"]["kind"])
    is_empty = version.manifest.kind == "head_only" and not version.num_parameters
    return "prompt" if is_prompt and is_empty else version.manifest.kind


def alias_view(alias: Alias, warnings: Sequence[str] = ()) -> AliasView:
    return AliasView(
        task=alias.task,
        alias=alias.name,
        version=alias.version,
        digest=alias.digest,
        warnings=warnings,
    )


def event_view(event: AliasEvent) -> EventView:
    return EventView(
        version=event.version,
        previous_version=event.previous,
        at=event.at,
        action=event.action,
        reason=event.reason,
    )


def job_view(job: Job) -> JobView:
    return JobView(
        id=job.id,
        task=job.spec.task,
        status=str(job.status),
        phase=str(job.phase),
        progress=job.progress,
        eta_s=job.eta_s,
        created_at=job.created_at,
        finished_at=job.finished_at,
        version=job.version,
        digest=job.digest,
        result=job.result,
        error_code=job.error_code,
        error_message=job.error_message,
        revision=job.revision,
        ended=job.status.ended,
        spec=_spec_view(job),
    )


def _spec_view(job: Job) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.to_builtins(job.spec.to_json())  # tuples become lists
    del spec["tenant"]
    return spec


def job_event_view(event: Event) -> JobEventView:
    return JobEventView(
        number=event.number,
        created_at=event.created_at,
        level=event.level,
        code=event.code,
        message=event.message,
        data=event.data,
    )


def file_view(file: FileRecord) -> FileView:
    return FileView(
        id=file.id,
        bytes=file.bytes,
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
        sha256=file.sha256,
        name=file.name or None,
    )


def info_view(info: EngineInfo, version: str, grpc: GrpcView) -> InfoView:
    return InfoView(
        version=version,
        base=info.base,
        fingerprint=info.fingerprint,
        family=info.family,
        dtype=info.dtype,
        device=info.device,
        threads=info.num_threads,
        max_tokens=info.max_tokens,
        kinds=info.kinds,
        heads=list(info.poolings),
        sites=[site.name for site in info.sites],
        grpc=grpc,
    )
