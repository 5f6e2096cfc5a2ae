"""Whether the learning rate suits the kind that is trained. Knows no row, so it is no check of the
table: the rows decide the kind first.
"""

from __future__ import annotations

from trainer.data_checks.finding import Finding, Severity
from trainer.jobs.values import JobSpec
from trainer.recipe.recipe import PROMPT, learning_rate
from trainer.settings.schedule import learning_rate_warning


def unusual_learning_rate(spec: JobSpec) -> list[Finding]:
    """`spec` is what will be trained, or what a search chose."""
    if spec.kind == PROMPT:
        return []
    rate = learning_rate(spec)
    sentence = learning_rate_warning(spec.kind, rate)
    if sentence is None:
        return []
    return [
        Finding(
            code="unusual_learning_rate",
            severity=Severity.WARNING,
            message=sentence,
            facts={"kind": spec.kind, "learning_rate": rate},
        )
    ]
