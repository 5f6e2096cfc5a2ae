"""One job from its files to a published version. Knows the order of things; neither claims jobs nor
ends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.errors import EngineError, EngineGone
from engine.port import EnginePort
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.embedder import Embedder
from trainer.data_checks.finding import emit_findings
from trainer.engine_client import EngineSession
from trainer.errors import BaseChanged
from trainer.evaluation.activations import dataset_name
from trainer.evaluation.champion import Champion
from trainer.evaluation.evaluate import Evaluation, Logits, evaluate, predict
from trainer.evaluation.temperature import fit_temperature
from trainer.heads.encoded import EncodedRow
from trainer.jobs.file_store import FileStore
from trainer.jobs.lease import Lease
from trainer.jobs.states import Phase
from trainer.jobs.values import Job, JobSpec
from trainer.pipeline.encoder import Encoder
from trainer.pipeline.job_result import JobFindings
from trainer.pipeline.lineage import origin
from trainer.pipeline.prepare import Prepared
from trainer.pipeline.prompt_run import PromptRun
from trainer.pipeline.publish import AdapterDraft, Publisher
from trainer.pipeline.reference_runs import References, curve_shares
from trainer.pipeline.reporting import Reporting, sampled
from trainer.pipeline.validation import validated
from trainer.recipe.recipe import PROMPT
from trainer.recipe.search_space import candidates
from trainer.training.checkpoints import Checkpoints
from trainer.training.cost_model import RunCost, added, judging, num_tokens, part, whole_base
from trainer.training.eta import EtaEstimator
from trainer.training.experiment import ExperimentResult, run_experiment
from trainer.training.progress import Progress
from trainer.training.rhythm import CheckpointInterval
from trainer.training.run_config import RunConfig
from trainer.training.run_result import RunResult, seeds_report
from trainer.training.runs import CheckpointConfig, Runs

#: about what the report and the baselines take, in a child of their own
REPORT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every run needs, chosen once."""

    port: EnginePort
    registry: Registry
    files: FileStore
    tokenizer: Tokenizer
    embedder: Embedder
    proof_slot: int
    report_timeout_s: float
    checkpoints: Checkpoints
    #: how often a run within an epoch is written down, in seconds
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
        self._session = EngineSession(tools.port, lease.check)
        self._started = tools.clock()

    def run(self) -> tuple[Version, dict[str, Any]]:
        """The version and the job's result. Raises errors of the trainer, engine and registry."""
        try:
            return self._attempt()
        except EngineError as error:
            # a fresh engine answers "not loaded" for what the one before it held
            gone = self._session.is_replaced
            if gone or isinstance(error, EngineGone):
                self._lease.tell("engine.gone", "The engine stopped under the job.", "warn")
            if gone:
                raise EngineGone from error
            raise

    def _attempt(self) -> tuple[Version, dict[str, Any]]:
        self._lease.enter(Phase.VALIDATING)
        self._check_base()
        keeping = self._keeping()
        tools, spec, check = self._tools, self._job.spec, self._session.check
        base = (tools.port.info, tools.tokenizer, tools.embedder)
        prepared = validated(tools.files, spec, *base, check)
        self._spec = prepared.spec
        emit_findings(self._lease, prepared.findings)
        if self._spec.kind == PROMPT:
            return self._prompted(prepared, keeping)
        self._lease.enter(Phase.TOKENIZING)
        course, rows = self._encoder.course(prepared)
        self._progress = self._watched(course, rows)
        with self._runs(course, rows, keeping) as runs:
            practised = run_experiment(runs, self._spec, self._tried(), self._lease)
            self._lease.enter(Phase.EVALUATING)
            found, tests = self._judged(prepared, rows, practised)
            self._lease.enter(Phase.REPORTING, result=found.report())
            reporting = self._reporting(rows, keeping)
            report, beside = reporting.complete(found, practised.outcomes, tests)
            self._lease.enter(Phase.PUBLISHING, result=report)
            report["seconds"] = self._seconds()
            version = self._publish(found, report, beside)
        return version, self._result(version, report)

    def _prompted(
        self, prepared: Prepared, keeping: CheckpointConfig
    ) -> tuple[Version, dict[str, Any]]:
        """A version without weights: examples are all that it has learned."""
        tools = self._tools
        prompt = PromptRun(self._session, tools.registry, tools.tokenizer, tools.proof_slot)
        reporting = self._reporting([], keeping)
        version, report = prompt.run(prepared, self._lease, reporting, self._seconds)
        return version, self._result(version, report)

    def _seconds(self) -> float:
        """Since the attempt began."""
        return round(self._tools.clock() - self._started, 3)

    def _check_base(self) -> None:
        """A job ends on the base that it was submitted for. Raises BaseChanged."""
        wanted, info = self._spec.base, self._tools.port.info
        if wanted and wanted["fingerprint"] != info.fingerprint:
            raise BaseChanged(
                f"The job is for the base {wanted['name']} ({wanted['fingerprint'][:12]}…); this "
                f"worker runs {info.base} ({info.fingerprint[:12]}…)."
            )

    def _keeping(self) -> CheckpointConfig:
        """Raises StorageFailed."""
        tools = self._tools
        taken = tools.checkpoints.take(self._lease.claim)
        rhythm = CheckpointInterval(tools.checkpoint_s, tools.clock)
        return CheckpointConfig(checkpoints=taken, rhythm=rhythm, tell=self._lease.tell)

    def _runs(self, course: RunConfig, rows: list[EncodedRow], keeping: CheckpointConfig) -> Runs:
        name = dataset_name(self._spec.tenant, course.train, course.dev, rows)
        return Runs(self._session, course, self._progress, name, keeping)

    def _watched(self, course: RunConfig, rows: list[EncodedRow]) -> Progress:
        settings = self._spec.settings
        again = [*course.dev, *sampled(course.train)]
        return Progress(
            pace=EtaEstimator(self._tools.clock),
            advance=self._watch,
            tell=self._lease.tell,
            later=[part(RunCost.of(course), share) for share in curve_shares(settings)],
            afterwards=added(
                [
                    judging(course, rows, again),
                    whole_base(course) if settings.full_finetuning else {},
                ]
            ),
            afterwards_s=REPORT_S,
        )

    def _tried(self) -> list[JobSpec]:
        return candidates(self._spec, self._tools.port.info)

    def _judged(
        self, prepared: Prepared, rows: list[EncodedRow], practised: ExperimentResult
    ) -> tuple[JobFindings, list[Evaluation]]:
        """The one look at the test rows, after all that could be chosen was chosen."""
        outcomes, kept = practised.outcomes, practised.kept
        head = self._tempered(kept)
        tests = [self._answered(rows, head, each.opened.slot) for each in outcomes]
        found = JobFindings(
            prepared=prepared, head=head, rows=rows, practised=practised,
            test=tests[outcomes.index(kept)], seeds=seeds_report(outcomes, tests),
        )  # fmt: skip
        emit_findings(self._lease, found.afterwards)
        return found, tests

    def _tempered(self, kept: RunResult) -> dict[str, Any]:
        course, slot = kept.course, kept.opened.slot

        def answers() -> list[Logits]:
            return predict(self._session, course.dev, course.head, slot)

        return fit_temperature(course.head, course.dev, answers)

    def _answered(self, rows: list[EncodedRow], head: dict[str, Any], slot: int) -> Evaluation:
        found = evaluate(self._session.with_check(self._progress.poll), rows, head, slot)
        self._progress.answered(num_tokens(rows))
        return found

    def _watch(self, share: float, eta_s: float | None) -> None:
        self._session.require_same_engine()
        self._lease.advance(share, eta_s)

    def _reporting(self, rows: list[EncodedRow], keeping: CheckpointConfig) -> Reporting:
        tools, session = self._tools, self._session
        production = Champion(
            session=session, registry=tools.registry, slot=tools.proof_slot,
            encode=self._encoder.as_served,
        )  # fmt: skip
        references = References(
            session=session, runs=lambda course: self._runs(course, rows, keeping)
        )
        return Reporting(
            session=session, production=production, references=references,
            timeout_s=tools.report_timeout_s, tell=self._lease.tell,
        )  # fmt: skip

    def _publish(
        self, found: JobFindings, report: dict[str, Any], beside: dict[str, bytes]
    ) -> Version:
        tools, spec = self._tools, self._spec
        made_of = origin(self._job.id, found.kept.spec, found.prepared.sha256s)
        draft = AdapterDraft(
            tenant=spec.tenant, task=spec.task, promote=spec.promote, fence=self._job.id,
            lineage={**report, **made_of}, head=found.head, rows=found.rows,
            logits=found.test.logits, beside=beside,
        )  # fmt: skip
        publisher = Publisher(self._session, tools.registry, tools.proof_slot, self._lease.confirm)
        return publisher.publish(found.kept.opened.slot, draft)

    def _result(self, version: Version, report: dict[str, Any]) -> dict[str, Any]:
        """After a crash between publishing and ending the job, the version is the first attempt's,
        and so is what there is to report.
        """
        if version.lineage.get("job") == self._job.id:
            report = {name: version.lineage[name] for name in report}
        return {
            "task": version.task,
            "version": version.number,
            "digest": version.digest,
            **report,
        }
