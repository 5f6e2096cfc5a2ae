"""One job from its files to a published version. Knows the order of things; neither claims jobs nor
ends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.errors import EngineError, EngineGone
from engine.heads.generate import GenerateHead
from engine.port import EnginePort
from engine.prompting import Prompter
from engine.tokenizer import Tokenizer
from trainer.baseline import baseline_of
from trainer.course import Course
from trainer.encode import EncodedRow, encode_examples, head_for
from trainer.evaluate import Evaluation, evaluate
from trainer.example import Example
from trainer.files import FileStore
from trainer.findings import Findings, comparison_warnings
from trainer.heads import HEAD_DATA
from trainer.jobs import Phase
from trainer.lease import Lease
from trainer.lessons import encode_lessons
from trainer.outcome import Outcome, seeds_report
from trainer.pace import Pace
from trainer.practice import Practised, practise
from trainer.prepare import Prepared, prepare
from trainer.progress import Progress
from trainer.publish import Draft, Publisher
from trainer.recipe import learning_rate, pooling_of
from trainer.runs import Runs
from trainer.search_space import candidates
from trainer.values import Job
from trainer.workload import ANSWERED, num_tokens

#: about what the report and the baselines take, in a child of their own
REPORT_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every run needs, chosen once."""

    port: EnginePort
    registry: Registry
    files: FileStore
    tokenizer: Tokenizer
    proof_slot: int
    baseline_timeout_s: float
    clock: Callable[[], float] = time.monotonic


class JobRun:
    """One attempt at one job."""

    def __init__(self, tools: Tools, job: Job, lease: Lease) -> None:
        self._tools = tools
        self._job = job
        self._spec = job.spec
        self._lease = lease
        self._generation = tools.port.generation
        self._started = tools.clock()

    def run(self) -> tuple[Version, dict[str, Any]]:
        """The version and the job's result. Raises errors of the trainer, engine and registry."""
        try:
            return self._attempt()
        except EngineError as error:
            # a fresh engine says "not loaded" of what the one before it held
            if self._tools.port.generation != self._generation:
                raise EngineGone from error
            raise

    def _attempt(self) -> tuple[Version, dict[str, Any]]:
        self._lease.enter(Phase.VALIDATING)
        prepared = prepare(self._tools.files, self._spec)
        self._lease.enter(Phase.TOKENIZING)
        course, rows = self._encoded(prepared)
        self._progress = self._progress_of(rows)
        with Runs(self._tools.port, course, self._progress) as runs:
            practised = self._practised(runs)
            self._lease.enter(Phase.EVALUATING)
            found = self._judged(prepared, rows, practised)
            report = found.report()
            self._lease.enter(Phase.BASELINE, result=report)
            report["baseline"] = self._baseline(prepared)
            report["warnings"] += comparison_warnings(self._spec.head, report)
            self._lease.enter(Phase.PUBLISHING, result=report)
            report["seconds"] = round(self._tools.clock() - self._started, 3)
            version = self._publish(found, report)
        return version, self._result(version, report)

    def _encoded(self, prepared: Prepared) -> tuple[Course, list[EncodedRow]]:
        split, settings = prepared.split, self._spec.settings
        head = head_for(
            self._spec.head,
            pooling_of(self._spec, self._tools.port.info),
            prepared.labels,
            split.train,
            settings,
        )
        train, dev, test = (self._rows(rows, head) for rows in (split.train, split.dev, split.test))
        rate = learning_rate(self._spec)
        return Course(train=train, dev=dev, head=head, settings=settings, learning_rate=rate), test

    def _rows(self, examples: list[Example], head: dict[str, Any]) -> list[EncodedRow]:
        tools, limit = self._tools, self._spec.settings.max_tokens
        if head["kind"] != GenerateHead.name:
            return encode_examples(examples, head, tools.tokenizer, limit)
        info = tools.port.info
        limit = min(limit or info.max_tokens, info.max_tokens)
        return encode_lessons(examples, head, Prompter(info, tools.tokenizer), limit)

    def _progress_of(self, rows: list[EncodedRow]) -> Progress:
        """The test rows are answered by every seed, and once more as the proof of what is saved."""
        num = self._spec.settings.seeds + 1
        return Progress(
            pace=Pace(self._tools.clock),
            advance=self._watch,
            tell=self._lease.tell,
            afterwards={ANSWERED: num_tokens(rows) * num},
            afterwards_s=REPORT_S,
        )

    def _practised(self, runs: Runs) -> Practised:
        tried = candidates(self._spec, self._tools.port.info)
        return practise(runs, self._spec, tried, self._lease)

    def _judged(self, prepared: Prepared, rows: list[EncodedRow], practised: Practised) -> Findings:
        """The one look at the test rows, after all that could be chosen was chosen."""
        outcomes, kept = practised.outcomes, practised.kept
        tests = [self._answered(rows, each) for each in outcomes]
        return Findings(
            prepared=prepared,
            rows=rows,
            practised=practised,
            test=tests[outcomes.index(kept)],
            seeds=seeds_report(outcomes, tests),
        )

    def _answered(self, rows: list[EncodedRow], outcome: Outcome) -> Evaluation:
        head, slot = outcome.course.head, outcome.opened.slot
        found = evaluate(self._tools.port, rows, head, slot, self._progress.waiting)
        self._progress.answered(num_tokens(rows))
        return found

    def _watch(self, share: float, eta_s: float | None) -> None:
        if self._tools.port.generation != self._generation:
            raise EngineGone
        self._lease.advance(share, eta_s)

    def _baseline(self, prepared: Prepared) -> dict[str, Any]:
        if HEAD_DATA[self._spec.head].baseline is None:
            return {}
        return baseline_of(
            self._spec.head,
            prepared.split,
            timeout_s=self._tools.baseline_timeout_s,
            waiting=self._lease.check,
        )

    def _publish(self, found: Findings, report: dict[str, Any]) -> Version:
        tools, spec = self._tools, self._spec
        draft = Draft(
            tenant=spec.tenant,
            task=spec.task,
            promote=spec.promote,
            fence=self._job.id,
            lineage={**report, **self._origin(found)},
            head=found.kept.course.head,
            rows=found.rows,
            logits=found.test.logits,
        )
        publisher = Publisher(tools.port, tools.registry, tools.proof_slot, self._lease.check)
        return publisher.publish(found.kept.opened.slot, draft)

    def _origin(self, found: Findings) -> dict[str, Any]:
        """All that it takes to train the same again."""
        spec = found.kept.spec
        columns = (spec.text_column, spec.text_pair_column, spec.label_column)
        return {
            "job": self._job.id,
            "dataset": {
                "sha256": found.prepared.sha256s,
                "columns": dict(zip(("text", "text_pair", "label"), columns, strict=True)),
            },
            "split_seed": spec.split_seed,
            "kind": spec.kind,
            "settings": asdict(spec.settings),
        }

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
