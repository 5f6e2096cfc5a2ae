"""One job from its files to a published version. Knows the order of the phases; neither claims jobs
nor ends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.errors import EngineError, EngineGone
from engine.heads.classify import ClassifyHead
from engine.heads.embed import EmbedHead
from engine.port import EnginePort
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.embedder import Embedder
from trainer.data_checks.finding import emit_findings
from trainer.engine_client import EngineSession
from trainer.errors import BaseChanged
from trainer.evaluation.activations import dataset_name
from trainer.evaluation.champion import Champion
from trainer.evaluation.evaluate import Evaluation, evaluate, predict
from trainer.evaluation.latency import Latency, measure_latency
from trainer.evaluation.temperature import fit_temperature
from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer
from trainer.jobs.file_store import FileStore
from trainer.jobs.lease import Lease
from trainer.jobs.states import Phase
from trainer.jobs.values import Job, JobSpec
from trainer.pipeline.encoder import Encoder
from trainer.pipeline.evaluated_experiment import EvaluatedExperiment
from trainer.pipeline.job_result import JobResult, lineage_of, published_json
from trainer.pipeline.prepare import Prepared, prepare
from trainer.pipeline.promotion import Promotion, announce_promotion
from trainer.pipeline.prompt_run import PromptRun
from trainer.pipeline.provenance import describe_provenance
from trainer.pipeline.publish import AdapterDraft, Publisher
from trainer.pipeline.reference_runs import References, curve_shares
from trainer.pipeline.reporting import Reporting, sample_rows
from trainer.recipe.recipe import PROMPT
from trainer.recipe.search_space import candidates
from trainer.training.checkpointing import CheckpointInterval
from trainer.training.checkpoints import Checkpoints
from trainer.training.cost_model import (
    RunCost,
    evaluation_work,
    full_finetuning_work,
    num_tokens,
    share_of_run,
    sum_work,
)
from trainer.training.eta import EtaEstimator
from trainer.training.experiment import ExperimentResult, run_experiment
from trainer.training.progress import Progress
from trainer.training.run_config import RunConfig
from trainer.training.run_result import RunResult
from trainer.training.runs import CheckpointConfig, Runs

#: about what the report and the baselines take, in a child of their own
REPORT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The dependencies that all jobs share."""

    port: EnginePort
    registry: Registry
    files: FileStore
    tokenizer: Tokenizer
    embedder: Embedder
    proof_slot: int
    report_timeout_s: float
    checkpoints: Checkpoints
    #: seconds between checkpoints within an epoch
    checkpoint_s: float
    clock: Callable[[], float] = time.monotonic


class JobRun:
    """One attempt at one job."""

    def __init__(self, tools: Tools, job: Job, lease: Lease) -> None:
        self._tools = tools
        self._job = job
        self._spec = job.spec
        self._lease = lease
        self._encoder = Encoder(info=tools.port.info, tokenizer=tools.tokenizer)
        self._session = EngineSession(tools.port, lease.check, tools.tokenizer)
        self._started = tools.clock()

    def run(self) -> tuple[Version, dict[str, Any]]:
        """The version, and the job's result as it is stored. Raises errors of the trainer, the
        engine and the registry.
        """
        try:
            return self._attempt()
        except EngineError as error:
            # a restarted engine answers "not loaded" for what the previous one held
            gone = self._session.is_replaced
            if gone or isinstance(error, EngineGone):
                self._lease.emit(
                    "engine.gone", "The engine stopped while the job was running.", "warn"
                )
            if gone:
                raise EngineGone from error
            raise

    def _attempt(self) -> tuple[Version, dict[str, Any]]:
        self._lease.enter(Phase.VALIDATING)
        self._check_base()
        checkpointing = self._take_checkpoints()
        prepared = self._prepare()
        self._spec = prepared.spec
        emit_findings(self._lease, prepared.findings)
        if self._spec.kind == PROMPT:
            return self._run_prompt(prepared, checkpointing)
        self._lease.enter(Phase.TOKENIZING)
        run_config, rows = self._encoder.run_config(prepared)
        self._progress = self._track(run_config, rows)
        with self._runs(run_config, rows, checkpointing) as runs:
            experiment = run_experiment(runs, self._spec, self._candidates(), self._lease)
            self._lease.enter(Phase.EVALUATING)
            evaluated = self._evaluate(prepared, rows, experiment)
            result = replace(evaluated.result(), latency=self._measure_latency(evaluated))
            self._lease.enter(Phase.REPORTING, result=result.to_json())
            reporting = self._reporting(rows, checkpointing)
            result, beside = reporting.add_report(result, reporting.evidence(evaluated))
            promotion, result = announce_promotion(self._spec.promote, result, self._lease.emit)
            self._lease.enter(Phase.PUBLISHING, result=result.to_json())
            result = replace(result, seconds=self._seconds())
            version = self._publish(evaluated, result, beside, promotion)
        return version, published_json(result, version, self._job.id)

    def _prepare(self) -> Prepared:
        """Reads and checks the files again. Raises BadDataset and UnknownFile."""
        tools, spec = self._tools, self._job.spec

        def likeness(pairs: Sequence[tuple[str, str]]) -> list[float]:
            return tools.embedder.likeness(spec.tenant, pairs, self._session.check)

        # an encoder-decoder has no hidden states before it generates
        embeds = EmbedHead.name in tools.port.info.poolings
        measure = likeness if embeds else None
        return prepare(tools.files, spec, tools.tokenizer, measure, info=tools.port.info)

    def _run_prompt(
        self, prepared: Prepared, checkpointing: CheckpointConfig
    ) -> tuple[Version, dict[str, Any]]:
        """Publishes a version without weights, only with worked examples."""
        tools = self._tools
        provenance = describe_provenance(self._job.spec, tools.files, tools.port.info)
        prompt = PromptRun(self._session, tools.registry, tools.proof_slot, provenance)
        reporting = self._reporting([], checkpointing)
        version, result = prompt.run(prepared, self._lease, reporting, self._seconds)
        return version, published_json(result, version, self._job.id)

    def _seconds(self) -> float:
        """Since the attempt began."""
        return round(self._tools.clock() - self._started, 3)

    def _check_base(self) -> None:
        """A job must run on the base that it was submitted for. Raises BaseChanged."""
        expected, info = self._spec.base, self._tools.port.info
        if expected and expected["fingerprint"] != info.fingerprint:
            raise BaseChanged(
                f"The job is for the base {expected['name']} ({expected['fingerprint'][:12]}…); "
                f"this worker runs {info.base} ({info.fingerprint[:12]}…)."
            )

    def _take_checkpoints(self) -> CheckpointConfig:
        """Raises StorageFailed."""
        tools = self._tools
        taken = tools.checkpoints.take(self._lease.claim)
        interval = CheckpointInterval(tools.checkpoint_s, tools.clock)
        return CheckpointConfig(checkpoints=taken, interval=interval, emit=self._lease.emit)

    def _runs(
        self, run_config: RunConfig, rows: list[EncodedRow], checkpointing: CheckpointConfig
    ) -> Runs:
        name = dataset_name(self._spec.tenant, run_config.train, run_config.dev, rows)
        return Runs(self._session, run_config, self._progress, name, checkpointing)

    def _track(self, run_config: RunConfig, rows: list[EncodedRow]) -> Progress:
        settings = self._spec.settings
        again = [*run_config.dev, *sample_rows(run_config.train)]
        return Progress(
            pace=EtaEstimator(self._tools.clock),
            advance=self._advance,
            emit=self._lease.emit,
            later=[share_of_run(RunCost.of(run_config), share) for share in curve_shares(settings)],
            afterwards=sum_work(
                [
                    evaluation_work(run_config, rows, again),
                    full_finetuning_work(run_config) if settings.full_finetuning else {},
                ]
            ),
            afterwards_s=REPORT_S,
        )

    def _candidates(self) -> list[JobSpec]:
        return candidates(self._spec, self._tools.port.info)

    def _evaluate(
        self, prepared: Prepared, rows: list[EncodedRow], experiment: ExperimentResult
    ) -> EvaluatedExperiment:
        """The only use of the test rows, after all choices were made on dev rows."""
        run_config = experiment.best_run.run_config
        dev_answers = self._answer_dev(experiment.best_run)
        head = fit_temperature(run_config.head, run_config.dev, dev_answers)
        average = experiment.average
        evaluated = EvaluatedExperiment(
            prepared=prepared,
            head=head,
            test_rows=rows,
            experiment=experiment,
            tests=[self._evaluate_run(rows, head, run.opened.slot) for run in experiment.outcomes],
            dev_answers=dev_answers,
            average_test=self._evaluate_run(rows, head, average.opened.slot) if average else None,
        )
        emit_findings(self._lease, evaluated.training_findings)
        return evaluated

    def _measure_latency(self, evaluated: EvaluatedExperiment) -> Latency | None:
        slot = evaluated.best_run.opened.slot
        return measure_latency(self._session, evaluated.test_rows, evaluated.head, slot)

    def _answer_dev(self, run: RunResult) -> Sequence[Answer]:
        """The logits of the dev rows, to which the temperature and thresholds are fitted."""
        head, rows = run.run_config.head, run.run_config.dev
        has_labels = head["kind"] == ClassifyHead.name
        return predict(self._session, rows, head, run.opened.slot) if has_labels and rows else []

    def _evaluate_run(self, rows: list[EncodedRow], head: dict[str, Any], slot: int) -> Evaluation:
        evaluation = evaluate(self._session.with_check(self._progress.poll), rows, head, slot)
        self._progress.record_answers(num_tokens(rows))
        return evaluation

    def _advance(self, share: float, eta_s: float | None) -> None:
        self._session.require_same_engine()
        self._lease.advance(share, eta_s)

    def _reporting(self, rows: list[EncodedRow], checkpointing: CheckpointConfig) -> Reporting:
        tools, session = self._tools, self._session
        production = Champion(
            session=session,
            registry=tools.registry,
            slot=tools.proof_slot,
            encode=self._encoder.as_served,
        )
        references = References(
            session=session, runs=lambda run_config: self._runs(run_config, rows, checkpointing)
        )
        return Reporting(
            session=session,
            production=production,
            references=references,
            timeout_s=tools.report_timeout_s,
            emit=self._lease.emit,
        )

    def _publish(
        self,
        evaluated: EvaluatedExperiment,
        result: JobResult,
        beside: dict[str, bytes],
        promotion: Promotion,
    ) -> Version:
        tools, spec, run = self._tools, self._spec, evaluated.best_run
        provenance = describe_provenance(self._job.spec, tools.files, tools.port.info)
        lineage = lineage_of(result, self._job.id, run.spec, evaluated.prepared, provenance)
        draft = AdapterDraft(
            tenant=spec.tenant,
            task=spec.task,
            promote=promotion.promote,
            hold=promotion.hold,
            fence=self._job.id,
            lineage=lineage,
            head=evaluated.head,
            rows=evaluated.test_rows,
            answers=evaluated.test.answers,
            beside=beside,
        )
        publisher = Publisher(self._session, tools.registry, tools.proof_slot, self._lease.confirm)
        return publisher.publish(run.opened.slot, draft)
