"""The training report of a version, as stored and as a page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from server.errors import NoReport
from trainer.pipeline.reporting import REPORT
from trainer.report.page.page import render_page
from trainer.report.page.provenance import describe_provenance


class Reports:
    """Reads reports from the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def read(self, version: Version) -> dict[str, Any] | None:
        """The report, or why it could not be made; None for a version that was not trained."""
        stored = self._registry.beside(version, REPORT)
        report: dict[str, Any] | None = (
            json.loads(stored) if stored else version.lineage.get("report")
        )
        return report

    def page(self, version: Version) -> str:
        """Raises NoReport."""
        ref, report = f"{version.task}@{version.number}", self.read(version)
        if report is None:
            raise NoReport(f"{ref} has no report; its source is {version.source}, not training.")
        base = version.manifest.base
        origin = describe_provenance(
            version.task,
            version.number,
            version.lineage,
            f"{base['name']} (fingerprint {base['fingerprint'][:12]})",
        )
        return render_page(ref, _facts(version), report, origin)


def _facts(version: Version) -> list[tuple[str, str]]:
    head = version.manifest.semantics["head"]["kind"]
    made = datetime.fromtimestamp(version.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [
        ("head", head),
        ("kind", version.manifest.kind),
        ("base", version.manifest.base["name"]),
        ("digest", version.digest[:12]),
        ("trained", made),
    ]
