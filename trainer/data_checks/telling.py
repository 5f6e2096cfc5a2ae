"""Findings as events of the job that they are about."""

from __future__ import annotations

from collections.abc import Iterable

from trainer.data_checks.finding import Finding, Severity
from trainer.jobs.lease import Lease

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warn", Severity.INFO: "info"}


def emit_findings(lease: Lease, findings: Iterable[Finding]) -> None:
    for finding in findings:
        told = finding.to_json()
        facts = {name: told[name] for name in ("count", "samples", "facts") if told[name]}
        lease.tell(f"data.{finding.code}", finding.message, _LEVELS[finding.severity], **facts)
