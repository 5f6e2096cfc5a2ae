"""Requests for lineages and for the audit log over HTTP, and their answers as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from adapterd.values import AuditEvent, Lineage, Version
from adapterd.wire.transfer import Fetch


def lineages_request(version: Version) -> Fetch:
    path = f"/v1/tasks/{version.task}/versions/{version.version}/lineage"
    return Fetch(method="GET", path=path)


def read_lineages(body: Mapping[str, Any]) -> list[Lineage]:
    return [Lineage(**_select_fields(Lineage, lineage)) for lineage in body["lineages"]]


def audit_request(**query: str | float | None) -> Fetch:
    """Of a page; what is None or empty is left out."""
    parameters = {name: value for name, value in query.items() if value not in (None, "")}
    return Fetch(method="GET", path=f"/v1/audit?{urlencode(parameters)}")


def read_audit_page(body: Mapping[str, Any]) -> tuple[list[AuditEvent], bool]:
    """The events, and whether there are older ones."""
    events = [AuditEvent(**_select_fields(AuditEvent, event)) for event in body["events"]]
    return events, bool(body["has_more"])


def _select_fields(kind: type, body: Mapping[str, Any]) -> dict[str, Any]:
    """A newer server may have more to say."""
    names: Mapping[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: value for name, value in body.items() if name in names}
