"""Views of lineages, of the audit log and of erasures, which transports render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters_registry.audit.audit_event import AuditEvent
from adapters_registry.values import Lineage
from server.upkeep.erasure import Erasure


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageView:
    """How a version came to be, each time that its content was published."""

    sequence: int
    at: float
    source: str
    #: who published it: `kind`, `name`, `tenant`, `request_id`, `on_behalf_of`
    actor: Mapping[str, Any]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEventView:
    """One change, or an attempt that was refused. `hash` and `text` are as they are stored: where
    nobody edited it, the first is the sha256 of the second, which holds all of it and the hash of
    the event before.
    """

    sequence: int
    at: float
    actor: Mapping[str, Any]
    action: str
    target: str
    task: str
    outcome: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str
    hash: str
    text: str


def lineage_view(lineage: Lineage) -> LineageView:
    return LineageView(
        sequence=lineage.sequence,
        at=lineage.at,
        source=lineage.source,
        actor=lineage.actor,
        document=lineage.document,
    )


def audit_event_view(event: AuditEvent) -> AuditEventView:
    change = event.change
    return AuditEventView(
        sequence=event.sequence,
        at=event.at,
        actor=event.actor.document(),
        action=change.action,
        target=change.target,
        task=change.task,
        outcome=str(change.outcome),
        before=change.before,
        after=change.after,
        reason=change.reason,
        hash=event.hash,
        text=event.text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureView:
    """What was erased, or would be."""

    tenant: str
    files: list[str]
    #: as `mail@3`
    versions: list[str]
    aliases: list[str]
    #: whose samples, reports and checkpoints go
    jobs: list[str]
    num_stored_files: int
    #: that were written meanwhile, and are there still; erase again
    num_rows_left: int


def erasure_view(erasure: Erasure) -> ErasureView:
    return ErasureView(
        tenant=erasure.tenant,
        files=list(erasure.files),
        versions=list(erasure.versions),
        aliases=list(erasure.aliases),
        jobs=list(erasure.jobs),
        num_stored_files=len(erasure.blobs),
        num_rows_left=erasure.num_rows_left,
    )
