"""A job's result: what is stored with the job, and in the lineage of the version that it published.

The one place that knows the stored names. Computes nothing beyond the comparison with baselines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters_registry.values import Version
from trainer.evaluation.latency import Latency
from trainer.heads import HEAD_DATA
from trainer.jobs.values import JobSpec
from trainer.metrics.metrics import Metrics
from trainer.pipeline.prepare import Prepared
from trainer.pipeline.provenance import describe_splits, hash_settings
from trainer.report.baselines import name_rival


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What only a job that trains has."""

    #: per metric the mean, standard deviation and values over the seeds, on dev and on test rows;
    #: made by `seeds_report`
    seeds: dict[str, Any]
    #: the trials of the search, the one chosen, steps done and steps saved by halving; made by
    #: `Search.report`; none without a search
    search: dict[str, Any] | None
    #: tokens of the training rows times epochs, over all seeds; a search's other runs not included
    trained_tokens: int
    #: the peak of the schedule, of the run that is published
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "search": self.search,
            "trained_tokens": self.trained_tokens,
            "learning_rate": self.learning_rate,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """Made when the test rows have been evaluated, and completed phase by phase with
    `dataclasses.replace`; what a phase has not set yet is not in the JSON.
    """

    #: `prompt` where nothing was trained
    kind: str
    #: metrics on the dev rows of the best epoch, or of the mean of the seeds' weights where that is
    #: published; empty where there are none
    dev_metrics: Metrics
    #: metrics on the test rows: the trainer's own until the report's child has computed them
    test_metrics: Metrics
    #: parameters of the adapter and its head; 0 for a prompt
    trainable_parameters: int
    #: rows by part of the split: train, dev, test
    rows: dict[str, int]
    #: of the published run, or of the best seed where the mean is published, in order: the fields
    #: of `Epoch`, and `step`, the steps done by its end
    epochs: list[dict[str, Any]]
    #: sentences for the job's owner, from the data checks, the training and the comparison
    warnings: list[str]
    #: findings of the data checks and of the training, as JSON
    findings: list[dict[str, Any]]
    training: TrainingResult | None = None
    #: worked examples in the prompt; none where the job trained
    num_examples: int | None = None
    #: metrics of models without the base on the test rows, by the report's child; an error instead
    #: where it failed
    baseline: dict[str, Any] | None = None
    #: the report's summary; an error instead where it failed
    report: dict[str, Any] | None = None
    #: how long test texts take (`evaluation/latency.py`); none for heads that generate
    latency: Latency | None = None
    #: wall-clock seconds from the start of the attempt to publishing, to milliseconds
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        optional = {
            "examples": self.num_examples,
            "baseline": self.baseline,
            "report": self.report,
            "latency": self.latency,
            "seconds": self.seconds,
        }
        return {
            "metrics": {"dev": self.dev_metrics, "test": self.test_metrics},
            "trainable_parameters": self.trainable_parameters,
            "rows": self.rows,
            "epochs": self.epochs,
            "kind": self.kind,
            "warnings": self.warnings,
            "findings": self.findings,
            **(self.training.to_json() if self.training else {}),
            **{name: value for name, value in optional.items() if value is not None},
        }


def published_json(result: JobResult, version: Version, job_id: str) -> dict[str, Any]:
    """The result as it is stored with a job that succeeded; `already_published` tells that the same
    content was a version of the task before this job.

    After a crash between publishing and ending the job, the version is an earlier attempt's, and so
    is the result.
    """
    content = result.to_json()
    is_own = version.lineage.get("job") == job_id
    if is_own:
        content = {name: version.lineage[name] for name in content}
    return {
        "task": version.task,
        "version": version.number,
        "digest": version.digest,
        "already_published": not is_own,
        **content,
    }


def lineage_of(
    result: JobResult,
    job_id: str,
    spec: JobSpec,
    prepared: Prepared,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The lineage of the version: the result, and all that it takes to train the same again. `spec`
    is the chosen one of a search.
    """
    settings = spec.settings.model_dump()
    columns = {
        "text": spec.text_column,
        "text_pair": spec.text_pair_column,
        "label": spec.label_column,
    }
    return {
        **result.to_json(),
        "job": job_id,
        "dataset": {
            "sha256": dict(prepared.sha256s),
            "columns": columns,
            "splits": describe_splits(prepared.split),
        },
        "split_seed": spec.split_seed,
        "kind": spec.kind,
        "settings": settings,
        "settings_sha256": hash_settings(settings),
        **provenance,
    }


def comparison_warnings(
    head: str, test_metrics: Mapping[str, Any], baseline: Mapping[str, Any]
) -> list[str]:
    """Where a simple way to write is as good. The verdict of the report compares with the majority
    class and with the strongest baseline.
    """
    data = HEAD_DATA[head]
    metric = next(name for name in data.metrics if name in test_metrics)
    value = test_metrics[metric]
    rivals = [key for key in ("copy", "ridge") if key in baseline]
    if value is None:
        return []
    return [
        f"The test {metric} of {value:.3f} is no better than the {other:.3f} of the baseline "
        f"'{name_rival(key, baseline.get('name'), baseline[key])}'."
        for key in rivals
        if (other := baseline[key].get(metric)) is not None
        and (value <= other if data.more_is_better else value >= other)
    ]
