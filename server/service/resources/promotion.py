"""Promotes a version, and refuses one that its report calls worse than what it would replace.

Knows the verdict of a report and the registry; no transport.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters_registry.audit.audit_event import Change
from adapters_registry.errors import AliasMoved
from adapters_registry.ref import PRODUCTION, Ref
from adapters_registry.registry import Registry
from adapters_registry.values import Alias, Version
from server.errors import BadCall, WorseThanProduction
from server.service.inputs.text import check_text

_MAX_REASON = 1000
_MAX_LABELS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A promotion that is wanted in spite of the verdict, and why."""

    reason: str


def read_override(override: bool, reason: str) -> Override | None:
    """Raises BadCall for an override without a reason, or a reason without an override."""
    if not override:
        if reason:
            raise BadCall("A reason is only kept for an override; set override, or leave it out.")
        return None
    check_text(reason, "reason")
    if not reason.strip() or len(reason) > _MAX_REASON:
        raise BadCall(f"An override needs a reason of at most {_MAX_REASON} characters.")
    return Override(reason=reason.strip())


def promote_version(
    registry: Registry,
    tenant: str,
    task: str,
    number: int,
    alias: str,
    expected: int | None,
    *,
    is_gated: bool,
    reason: str,
) -> tuple[Alias, list[str]]:
    """The alias, and warnings. Raises WorseThanProduction, and the errors of the registry.

    What was checked is what is replaced: where the alias moves meanwhile, the check begins again.
    """
    version = registry.resolve(tenant, Ref(task=task, version=number))
    while True:
        current = next((a for a in registry.aliases(tenant, task) if a.name == alias), None)
        if current is not None and is_gated and alias == PRODUCTION:
            _check_verdict(registry, version, current)
        warnings = warn_of_labels(registry, version, current) if current else []
        seen = (current.version if current else 0) if expected is None else expected
        try:
            return registry.promote(tenant, task, number, alias, seen, reason), warnings
        except AliasMoved:
            if expected is not None:
                raise


def warn_of_labels(registry: Registry, version: Version, current: Alias) -> list[str]:
    """A sentence where the version has other labels than the one that the alias points to."""
    if current.digest == version.digest:
        return []
    ref = Ref(task=current.task, version=current.version)
    mine, theirs = (_labels(v) for v in (version, registry.resolve(current.tenant, ref)))
    if set(mine) == set(theirs):
        return []
    return [
        f"{version.task}@{version.number} has the labels {_list(mine)}; version "
        f"{current.version}, to which {current.name} pointed, has {_list(theirs)}. From now on, "
        "callers get other labels."
    ]


def _labels(version: Version) -> list[str]:
    labels: list[str] = version.manifest.semantics["head"].get("labels") or []
    return labels


def _list(labels: list[str]) -> str:
    more = f" and {len(labels) - _MAX_LABELS} more" if len(labels) > _MAX_LABELS else ""
    return ", ".join(labels[:_MAX_LABELS]) + more if labels else "none"


def _check_verdict(registry: Registry, version: Version, current: Alias) -> None:
    """The report's verdict counts only if it compared the version with what is production now. What
    it refuses is recorded.
    """
    report = version.lineage.get("report") or {}
    verdict, compared = report.get("verdict") or {}, report.get("production") or {}
    is_current = compared.get("digest") == current.digest
    if is_current and verdict.get("worse_than_production"):
        worse = " ".join(
            comparison["words"]
            for comparison in report["comparisons"]
            if comparison["kind"] == "production"
        )
        error = WorseThanProduction(
            f"{version.task}@{version.number} was not promoted. {worse} To promote it all the "
            "same, set override and give a reason."
        )
        attempt = Change(
            tenant=version.tenant,
            action="alias.promote",
            target=f"{current.task}@{current.name}",
            task=version.task,
            after={"version": version.number, "digest": version.digest},
        )
        registry.audit.refuse(attempt, error)
        raise error
