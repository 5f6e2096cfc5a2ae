"""A version that is a prompt: worked examples out of the training rows, and no weights. Made where
there are too few rows to train on. Knows the registry and the engine's port; no slot of training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.errors import EngineGone
from engine.heads import head_kind
from engine.port import Done, EnginePort, File, Inspect, Inspected, Load, Loaded, Unload
from engine.prompting import PROMPT_FILES, Prompter
from engine.tokenizer import Tokenizer
from trainer.ask import ask
from trainer.encode import EncodedRow, head_for
from trainer.evaluate import predict
from trainer.example import Example
from trainer.heads import HEAD_DATA
from trainer.jobs import Phase
from trainer.lease import Lease
from trainer.lessons import encode_lessons
from trainer.prepare import Prepared

MAX_EXAMPLES = 8
#: of what the base reads; the rest is for what is asked, and for the answer
_PROMPT_SHARE = 0.5


class PromptRun:
    """One job that ends with a prompt."""

    def __init__(
        self, port: EnginePort, registry: Registry, tokenizer: Tokenizer, proof_slot: int
    ) -> None:
        self._port = port
        self._registry = registry
        self._proof_slot = proof_slot
        self._prompter = Prompter(port.info, tokenizer)

    def run(self, prepared: Prepared, job_id: str, lease: Lease) -> tuple[Version, dict[str, Any]]:
        """The version and its report: it is judged as it is served."""
        head = self._head(prepared)
        lease.enter(Phase.TOKENIZING)
        test = self._encoded(prepared.split.test, head)
        with self._registry.stage() as staging:
            for name, content in PROMPT_FILES.items():
                staging.write(name, [content])
            self._registry.check(staging)
            step = Inspect(directory=str(staging.path), head=head)
            found = ask(self._port, step, Inspected)
            lease.enter(Phase.EVALUATING)
            report = self._report(prepared, head, self._metrics(staging.path, found, test, lease))
            lease.enter(Phase.PUBLISHING, result=report)
            info, spec = self._port.info, prepared.spec
            version = self._registry.publish(
                tenant=spec.tenant, task=spec.task, staging=staging, kind=found.semantics["kind"],
                base={"fingerprint": info.fingerprint, "name": info.base}, files=found.files,
                semantics=found.semantics, lineage={**report, **_origin(prepared, job_id)},
                source="training", num_parameters=found.num_parameters, promote=spec.promote,
                fence=job_id, confirm=lease.confirm,
            )  # fmt: skip
        return version, report

    def _head(self, prepared: Prepared) -> dict[str, Any]:
        """With as many examples as there is room for."""
        spec, train = prepared.spec, prepared.split.train
        bare = head_for(spec.head, spec.pooling or "native", [], train, spec.settings)
        limit, examples = self._port.info.max_tokens * _PROMPT_SHARE, list[dict[str, str]]()
        for row in _spread(train):
            more = [*examples, {"input": row.text, "output": str(row.label)}]
            head = _with_examples(bare, more)
            if len(more) <= MAX_EXAMPLES and len(self._prompter.tokens("a", head)) <= limit:
                examples = more
        return _with_examples(bare, examples)

    def _encoded(self, rows: Sequence[Example], head: dict[str, Any]) -> list[EncodedRow]:
        return encode_lessons(rows, head, self._prompter, self._port.info.max_tokens)

    def _metrics(
        self, directory: Path, found: Inspected, rows: list[EncodedRow], lease: Lease
    ) -> dict[str, Any]:
        head = found.semantics["head"]
        files = [_file(directory, role, name) for role, name in sorted(found.files.items())]
        name = f"prompt/{hashlib.sha256(str(head).encode()).hexdigest()}"
        ask(self._port, Load(digest=name, semantics=found.semantics, files=files), Loaded)
        try:
            place = {self._proof_slot: name}
            written = predict(self._port, rows, head, self._proof_slot, lease.check, place)
        finally:
            with suppress(EngineGone):  # then nothing is loaded any more
                ask(self._port, Unload(digest=name), Done)
        data = HEAD_DATA[head["kind"]]
        truth = [row.example.label for row in rows]
        return dict(data.measure(truth, data.guesses(rows, written, head)))

    def _report(
        self, prepared: Prepared, head: dict[str, Any], metrics: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "metrics": {"dev": {}, "test": metrics},
            "trainable_parameters": 0,
            "rows": prepared.split.sizes,
            "examples": len(head["prompt"]["examples"]),
            "epochs": [],
            "baseline": {},
            "seconds": 0.0,
            "warnings": prepared.warnings,
            "findings": [finding.to_json() for finding in prepared.findings],
        }


def _with_examples(head: dict[str, Any], examples: list[dict[str, str]]) -> dict[str, Any]:
    return head_kind(head).check({**head, "prompt": {"instruction": "", "examples": examples}})


def _spread(rows: Sequence[Example]) -> list[Example]:
    """Different answers first, in an order that does not depend on that of the rows.

    A conversation's earlier turns have no place among examples of one text each.
    """
    single = [row for row in rows if not row.turns or len(row.turns) == 1]
    ordered = sorted(single, key=lambda row: hashlib.sha256(row.group.encode()).digest())
    seen: set[Any] = set()
    fresh = [row for row in ordered if not (row.label in seen or seen.add(row.label))]  # type: ignore[func-returns-value]
    return [*fresh, *(row for row in ordered if row not in fresh)]


def _file(directory: Path, role: str, name: str) -> File:
    path = directory / name
    return File(role=role, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _origin(prepared: Prepared, job_id: str) -> dict[str, Any]:
    """All that it takes to make the same again."""
    spec = prepared.spec
    return {
        "job": job_id,
        "dataset": {
            "sha256": prepared.sha256s,
            "columns": {
                "text": spec.text_column,
                "text_pair": spec.text_pair_column,
                "label": spec.label_column,
            },
        },
        "split_seed": spec.split_seed,
        "kind": spec.kind,
        "settings": asdict(spec.settings),
    }
