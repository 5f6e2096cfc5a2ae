"""Makes a version that is a prompt with worked examples from the training rows, and has no weights;
for jobs with too few rows to train on. Knows the registry and the engine's port; no training slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.heads import find_head
from engine.port import File, Inspect, Inspected
from engine.text.prompts import PROMPT_FILES
from trainer.dataset.encode import head_for
from trainer.dataset.prompt_rows import encode_prompt_rows, fit_max_tokens
from trainer.engine_client import EngineSession
from trainer.evaluation.champion import Champion
from trainer.evaluation.evaluate import predict, read_predictions
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.jobs.lease import Lease
from trainer.jobs.states import Phase
from trainer.pipeline.job_result import JobResult, lineage_of
from trainer.pipeline.prepare import Prepared
from trainer.pipeline.promotion import announce_promotion
from trainer.pipeline.reporting import Reporting
from trainer.readers.example import Example, Turn
from trainer.recipe.recipe import PROMPT
from trainer.report.report_input import AnsweredRows, ReportInput, Run

MAX_EXAMPLES = 8
#: of what the base reads; the rest is for what is asked, and for the answer
_PROMPT_SHARE = 0.5


class PromptRun:
    """One job that ends with a prompt."""

    def __init__(
        self,
        session: EngineSession,
        registry: Registry,
        proof_slot: int,
        provenance: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._registry = registry
        self._proof_slot = proof_slot
        self._prompter = session.prompter
        self._provenance = provenance

    def run(
        self,
        prepared: Prepared,
        lease: Lease,
        reporting: Reporting,
        seconds: Callable[[], float],
    ) -> tuple[Version, JobResult]:
        """The version and the job's result: the prompt is evaluated as it is served."""
        head = self._head(prepared)
        lease.enter(Phase.TOKENIZING)
        train, dev, test = (self._encode(rows, head) for rows in _parts(prepared))
        head = fit_max_tokens(head, [*train, *dev, *test])
        with self._registry.stage() as staging:
            for name, content in PROMPT_FILES.items():
                staging.write(name, [content])
            self._registry.check(staging)
            step = Inspect(directory=str(staging.path), head=head)
            inspected = self._session.call(step, Inspected)
            lease.enter(Phase.EVALUATING)
            answered = self._answer(staging.path, inspected, test)
            lease.enter(Phase.REPORTING)
            evidence = self._evidence(prepared, (train, dev), answered, head, reporting.production)
            result, beside = reporting.add_report(_result(prepared, head, evidence), evidence)
            promotion, result = announce_promotion(prepared.spec.promote, result, lease.emit)
            lease.enter(Phase.PUBLISHING, result=result.to_json())
            result = replace(result, seconds=seconds())
            info, spec, job_id = self._session.info, prepared.spec, lease.claim.job.id
            lineage = lineage_of(result, job_id, spec, prepared, self._provenance)
            version = self._registry.publish(
                tenant=spec.tenant,
                task=spec.task,
                staging=staging,
                kind=inspected.semantics["kind"],
                base={"fingerprint": info.fingerprint, "name": info.base},
                files=inspected.files,
                semantics=inspected.semantics,
                lineage=lineage,
                source="training",
                num_parameters=inspected.num_parameters,
                promote=promotion.promote,
                hold=promotion.hold,
                fence=job_id,
                beside=beside,
                confirm=lease.confirm,
            ).version
        return version, result

    def _head(self, prepared: Prepared) -> dict[str, Any]:
        """With as many examples as there is room for."""
        spec, train = prepared.spec, prepared.split.train
        bare = head_for(spec.head, spec.pooling or "native", [], train, spec.settings)
        limit, examples = self._session.info.max_tokens * _PROMPT_SHARE, list[dict[str, str]]()
        for row in _spread(train):
            more = [*examples, {"input": _user_text(row), "output": str(row.label)}]
            head = _with_examples(bare, more)
            if len(more) <= MAX_EXAMPLES and len(self._prompter.tokens("a", head)) <= limit:
                examples = more
        return _with_examples(bare, examples)

    def _encode(self, rows: Sequence[Example], head: dict[str, Any]) -> list[EncodedRow]:
        return encode_prompt_rows(rows, head, self._prompter, self._session.info.max_tokens)

    def _answer(
        self, directory: Path, inspected: Inspected, rows: list[EncodedRow]
    ) -> AnsweredRows:
        head = inspected.semantics["head"]
        files = [_file(directory, role, name) for role, name in sorted(inspected.files.items())]
        name = f"prompt/{hashlib.sha256(str(head).encode()).hexdigest()}"
        with self._session.load_adapter(name, inspected.semantics, files):
            slot = self._proof_slot
            answers = predict(self._session, rows, head, slot, {slot: name})
        predictions = read_predictions(self._session, rows, answers, head)
        return AnsweredRows(rows=rows, answers=answers, predictions=predictions)

    def _evidence(
        self,
        prepared: Prepared,
        learned: tuple[list[EncodedRow], list[EncodedRow]],
        test: AnsweredRows,
        head: dict[str, Any],
        production: Champion,
    ) -> ReportInput:
        spec, (train, dev) = prepared.spec, learned
        examples = [row.example for row in test.rows]
        run: Run = {
            "seed": spec.settings.seed,
            "kept": True,
            "epochs": [],
            "test": _metrics(test, head),
        }
        return ReportInput(
            head=head,
            train=train,
            dev=dev,
            test=test,
            sample=AnsweredRows(rows=[], answers=[], predictions=[]),
            runs=[run],
            parameters={"trainable": 0, "base": self._session.info.num_parameters},
            warnings=prepared.warnings,
            findings=[finding.to_json() for finding in prepared.findings],
            production=production.answers(spec, prepared.sha256s, head, examples),
        )


def _parts(prepared: Prepared) -> tuple[Sequence[Example], ...]:
    return prepared.split.train, prepared.split.dev, prepared.split.test


def _metrics(test: AnsweredRows, head: dict[str, Any]) -> dict[str, Any]:
    data = HEAD_DATA[head["kind"]]
    truth = [row.example.label for row in test.rows]
    return dict(data.measure(truth, test.predictions))


def _result(prepared: Prepared, head: dict[str, Any], evidence: ReportInput) -> JobResult:
    return JobResult(
        kind=PROMPT,
        dev_metrics={},
        test_metrics=evidence.runs[0]["test"],
        trainable_parameters=0,
        rows=prepared.split.sizes,
        num_examples=len(head["prompt"]["examples"]),
        epochs=[],
        warnings=list(prepared.warnings),
        findings=list(evidence.findings),
    )


def _with_examples(head: dict[str, Any], examples: list[dict[str, str]]) -> dict[str, Any]:
    return find_head(head).check({**head, "prompt": {"instruction": "", "examples": examples}})


def _spread(rows: Sequence[Example]) -> list[Example]:
    """Different answers first, in an order that does not depend on that of the rows.

    A conversation's earlier turns have no place among examples of one text each, nor have tools.
    """
    single = [row for row in rows if not row.turns or _is_single(row.turns[-1])]
    ordered = sorted(single, key=lambda row: hashlib.sha256(row.group.encode()).digest())
    seen: set[Any] = set()
    fresh = [row for row in ordered if not (row.label in seen or seen.add(row.label))]  # type: ignore[func-returns-value]
    return [*fresh, *(row for row in ordered if row not in fresh)]


def _is_single(turn: Turn) -> bool:
    """One text and its answer, with nothing but instructions before them."""
    roles = [message["role"] for message in turn.prompt.messages if message["role"] != "system"]
    special = turn.prompt.tools or turn.prompt.template_kwargs or turn.answer.get("tool_calls")
    return roles == ["user"] and not special


def _user_text(row: Example) -> str:
    """As a caller would ask it."""
    return str(row.turns[-1].prompt.messages[-1]["content"]) if row.turns else row.text


def _file(directory: Path, role: str, name: str) -> File:
    path = directory / name
    return File(role=role, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
