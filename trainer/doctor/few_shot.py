"""What to train where there is too little data to adapt a base to: its head alone, for longer.

Decides from counts only, so that submitting and running come to the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.heads import HEADS
from trainer.doctor.few_rows import FEW_PER_CLASS, FEW_ROWS
from trainer.doctor.finding import Finding, Severity
from trainer.doctor.subject import Subject
from trainer.kind_settings import KIND_SETTINGS
from trainer.values import JobSpec

_KIND = "head_only"
#: an epoch of so few rows is a step or two
_SETTINGS: dict[str, Any] = {"epochs": 60, "patience": 10}


def few_shot(subject: Subject) -> tuple[JobSpec, list[Finding]]:
    """The spec that is trained, and what was changed in it. What the caller chose stays."""
    spec, reason = subject.spec, _reason(subject)
    if reason is None or spec.kind == _KIND or HEADS[spec.head].bare:
        return spec, []
    own = _own_choice(spec)
    if own:
        return spec, [_kept(reason, own)]
    changes = {name: value for name, value in _SETTINGS.items() if name not in spec.chosen}
    changed = replace(spec, kind=_KIND, settings=replace(spec.settings, **changes))
    said = ", ".join(f"{name} {value}" for name, value in changes.items())
    return changed, [
        Finding(
            code="few_shot_recipe",
            severity=Severity.WARNING,
            message=f"{reason}, so a head over the frozen base is trained instead of a "
            f"{spec.kind} adapter: kind {_KIND}{', ' if said else ''}{said}. Choose a kind "
            "yourself to have it trained all the same.",
            facts={"kind": _KIND, "instead_of": spec.kind, "settings": changes},
        )
    ]


def _reason(subject: Subject) -> str | None:
    num, counts = len(subject.examples), subject.rows_per_class()
    scarce = [name for name in counts if counts[name] < FEW_PER_CLASS]
    if num < FEW_ROWS:
        return f"There are {num} rows, fewer than {FEW_ROWS}"
    # one rare class among many is no reason to train the others worse
    if scarce and 2 * len(scarce) >= len(counts):
        return (
            f"{len(scarce)} of {len(counts)} {subject.class_word}s have fewer than {FEW_PER_CLASS} "
            "rows"
        )
    return None


def _own_choice(spec: JobSpec) -> str | None:
    """What says that the caller wants an adapter: its kind, or a setting that only kinds have."""
    of_kinds = {name for names in KIND_SETTINGS.values() for name in names}
    return next((name for name in spec.chosen if name == "kind" or name in of_kinds), None)


def _kept(reason: str, own: str) -> Finding:
    return Finding(
        code="few_shot_declined",
        severity=Severity.INFO,
        message=f"{reason}; a head over the frozen base would often do better, but {own} was "
        "chosen by the caller, so nothing was changed.",
        facts={"chosen": own},
    )
