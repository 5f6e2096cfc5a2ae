"""The finding about rows that make few steps: smaller batches and more epochs are trained, because
an adapter that takes too few steps ends before it has learned.

Decides from counts only, so that submitting and running decide alike.
"""

from __future__ import annotations

from dataclasses import replace

from trainer.data_checks.finding import Finding, Severity
from trainer.data_checks.subject import Subject
from trainer.dataset.batches import num_batches
from trainer.jobs.values import JobSpec
from trainer.recipe.enough_steps import choose_steps
from trainer.wording import count_of


def enough_steps(subject: Subject, spec: JobSpec) -> tuple[JobSpec, list[Finding]]:
    """The spec that is trained, and a finding about its changes. What the caller named does not
    change.
    """
    # a kind that few rows chose has a recipe of its own
    if subject.split is None or spec.kind != subject.spec.kind:
        return spec, []
    num_rows, settings = len(subject.split.train), spec.settings
    changes = choose_steps(spec, num_rows)
    if not changes:
        return spec, []
    named = ", ".join(f"{name} is {value}" for name, value in changes.items())
    num_steps = settings.epochs * num_batches(num_rows, settings.batch_rows)
    finding = Finding(
        code="few_steps_recipe",
        severity=Severity.INFO,
        message=f"{count_of(num_rows, 'training row')} would make only {num_steps} optimizer "
        f"steps, so {named}. Settings that are named are kept: `--set epochs=5`.",
        facts={"settings": changes},
    )
    return replace(spec, settings=settings.model_copy(update=changes)), [finding]
