"""The recipe for too few rows to train an adapter: the head alone, trained for longer, or, for a
base that generates text, a prompt with examples.

Decides from counts only, so that submitting and running decide alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.heads import HEADS
from engine.kind_settings import KIND_SETTINGS
from trainer.data_checks.few_rows import FEW_PER_CLASS, FEW_ROWS
from trainer.data_checks.finding import Finding, Severity
from trainer.data_checks.subject import Subject
from trainer.jobs.values import JobSpec
from trainer.recipe.recipe import OF_TRAINING, PROMPT
from trainer.wording import count_of

_ALONE = "head_only"
#: with so few rows an epoch is one or two steps
_SETTINGS: dict[str, dict[str, Any]] = {_ALONE: {"epochs": 60, "patience": 10}, PROMPT: {}}
_DESCRIPTIONS = {
    _ALONE: "a head over the frozen base is trained",
    PROMPT: "worked examples are put before every input",
}


def few_shot(subject: Subject) -> tuple[JobSpec, list[Finding]]:
    """The spec that is trained, and findings about its changes. What the caller set explicitly does
    not change.
    """
    spec, reason, kind = subject.spec, _reason(subject), _kind(subject)
    if reason is None or kind is None or spec.kind == kind:
        return spec, []
    own = _own_choice(spec, kind)
    if own:
        return spec, [_declined_finding(reason, own)]
    settings = _SETTINGS[kind]
    changes = {name: value for name, value in settings.items() if name not in spec.chosen}
    changed = replace(spec, kind=kind, settings=spec.settings.model_copy(update=changes))
    new_settings = "".join(f", {name} {value}" for name, value in changes.items())
    return changed, [
        Finding(
            code="few_shot_recipe",
            severity=Severity.WARNING,
            message=f"{reason}, so {_DESCRIPTIONS[kind]} instead of a {spec.kind} adapter: kind "
            f"{kind}{new_settings}. Pass a kind explicitly to train an adapter anyway.",
            facts={"kind": kind, "instead_of": spec.kind, "settings": changes},
        )
    ]


def _kind(subject: Subject) -> str | None:
    """None for heads that can neither be trained alone nor use examples in a prompt."""
    if subject.generates:
        return PROMPT if subject.writes else None
    return None if HEADS[subject.spec.head].bare else _ALONE


def _reason(subject: Subject) -> str | None:
    num, counts = len(subject.examples), subject.rows_per_class()
    scarce = [name for name in counts if counts[name] < FEW_PER_CLASS]
    if num < FEW_ROWS:
        return f"There {'is' if num == 1 else 'are'} {count_of(num, 'row')}, fewer than {FEW_ROWS}"
    # a few rare classes among many are no reason to train the others worse
    if scarce and 2 * len(scarce) >= len(counts):
        return (
            f"{len(scarce)} of {len(counts)} {subject.class_word}s have fewer than {FEW_PER_CLASS} "
            "rows"
        )
    return None


def _own_choice(spec: JobSpec, kind: str) -> str | None:
    """The explicit setting by which the caller asks for an adapter: its kind, or a setting that
    only adapter kinds have; instead of a prompt also any setting of training.
    """
    of_kinds = {name for kind in KIND_SETTINGS.values() for name in kind.names()}
    own = {"kind", "search", *of_kinds, *(OF_TRAINING if kind == PROMPT else [])}
    return next((name for name in spec.chosen if name in own), None)


def _declined_finding(reason: str, own: str) -> Finding:
    return Finding(
        code="few_shot_declined",
        severity=Severity.INFO,
        message=f"{reason}; with so few rows a smaller model usually scores better. `{own}` was "
        "set explicitly, so it was kept.",
        facts={"chosen": own},
    )
