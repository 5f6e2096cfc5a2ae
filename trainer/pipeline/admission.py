"""What must hold of a job before it queues. Knows the base's facts; queues nothing."""

from __future__ import annotations

from dataclasses import dataclass

from adapters_registry.ref import check_name
from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.errors import BadSetting
from trainer.jobs.job_files import ReadableFiles
from trainer.jobs.values import JobSpec
from trainer.pipeline.planned import planned_epochs
from trainer.pipeline.prepare import Examination, Prepared, examine, prepared_of, sources
from trainer.recipe.recipe import PROMPT, check_dev, check_labels, check_recipe, check_steps
from trainer.recipe.search_space import candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The checks of one base."""

    files: ReadableFiles
    info: EngineInfo
    tokenizer: Tokenizer
    #: rows that one job may train on, over all its runs and epochs
    max_rows: int

    def prepared(self, spec: JobSpec) -> Prepared:
        """All that can be checked was. Raises BadName, BadSetting, BadDataset or UnknownFile."""
        check_name(spec.task)
        return prepared_of(self.examined(spec), self.files)

    def examined(self, spec: JobSpec) -> Examination:
        """What the files are like. Raises BadSetting or UnknownFile."""
        check_recipe(spec, self.info)  # before a search draws around it
        for each in candidates(spec, self.info):
            check_recipe(each, self.info)
        examination = examine(sources(self.files, spec), spec, self.tokenizer, info=self.info)
        if examination.error is None:
            self._check_rows(prepared_of(examination, self.files))
        return examination

    def _check_rows(self, prepared: Prepared) -> None:
        check_labels(prepared.spec, prepared.labels)
        check_dev(prepared.spec, len(prepared.split.dev))
        for each in candidates(prepared.spec, self.info):
            check_recipe(each, self.info)
            check_steps(each, len(prepared.split.train))
        self._check_size(prepared)

    def _check_size(self, prepared: Prepared) -> None:
        """Of a prompt nothing is trained."""
        spec, num = prepared.spec, len(prepared.split.train)
        if spec.kind == PROMPT:
            return
        planned = round(planned_epochs(spec, self.info) * num)
        if planned > self.max_rows:
            raise BadSetting(
                f"The job would train on {planned:,} rows over all its runs and epochs, of {num:,} "
                f"different ones; this server takes at most {self.max_rows:,} (max_job_rows).",
                name="epochs",
            )
