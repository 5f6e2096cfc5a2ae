"""The checks that a job must pass before it is queued, and that `adapterd check` runs without a
base. Knows facts of the base; queues nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters_registry.ref import check_name
from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.tokens import no_base_finding
from trainer.errors import BadSetting
from trainer.jobs.job_files import ReadableFiles
from trainer.jobs.values import JobSpec
from trainer.pipeline.prepare import Examination, Prepared, examine, prepared_of, sources
from trainer.pipeline.reference_runs import planned_epochs
from trainer.recipe.recipe import (
    PROMPT,
    check_dev,
    check_labels,
    check_recipe,
    check_steps,
    unchecked_without_base,
)
from trainer.recipe.search_space import candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The checks of one base, or without `info` and `tokenizer` all that need none."""

    files: ReadableFiles
    info: EngineInfo | None
    tokenizer: Tokenizer | None
    #: rows that one job may train on, over all its runs and epochs
    max_rows: int

    def prepare(self, spec: JobSpec) -> Prepared:
        """Checks all that can be checked before the job runs. Raises BadName, BadSetting,
        BadDataset or UnknownFile.
        """
        check_name(spec.task)
        return prepared_of(self.examine(spec), self.files)

    def examine(self, spec: JobSpec) -> Examination:
        """Examines the files. Raises BadSetting or UnknownFile."""
        check_recipe(spec, self.info)  # before a search draws around it
        tried = candidates(spec, self.info)
        for candidate in tried[1:]:  # the first is the spec itself
            check_recipe(candidate, self.info)
        examination = examine(sources(self.files, spec), spec, self.tokenizer, info=self.info)
        if examination.error is None:
            prepared = prepared_of(examination, self.files)
            self._check_rows(prepared, tried if prepared.spec == spec else None)
        if self.info is None:
            unchecked = no_base_finding(unchecked_without_base(spec))
            return replace(examination, findings=(*examination.findings, unchecked))
        return examination

    def _check_rows(self, prepared: Prepared, checked: list[JobSpec] | None) -> None:
        """`checked` are the candidates whose recipes were checked before the files were read; None
        where the rows changed the recipe.
        """
        check_labels(prepared.spec, prepared.labels)
        check_dev(prepared.spec, len(prepared.split.dev))
        tried = checked or candidates(prepared.spec, self.info)
        for candidate in tried:
            if checked is None:
                check_recipe(candidate, self.info)
            check_steps(candidate, len(prepared.split.train))
        self._check_size(prepared, tried)

    def _check_size(self, prepared: Prepared, tried: list[JobSpec]) -> None:
        """Limits the rows that are trained on; a prompt trains nothing."""
        spec, num = prepared.spec, len(prepared.split.train)
        if spec.kind == PROMPT:
            return
        planned = round(planned_epochs(spec, tried) * num)
        if planned > self.max_rows:
            raise BadSetting(
                f"The job would train on {planned:,} rows over all its runs and epochs, with "
                f"{num:,} training rows; this server allows at most {self.max_rows:,} "
                "(max_job_rows). Use fewer epochs, seeds or trials, or a sample of the rows.",
                name="epochs",
            )
