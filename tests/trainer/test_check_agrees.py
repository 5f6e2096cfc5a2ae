"""What a check without a base passes, submitting does not refuse, but for what the check names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.port import EngineInfo
from engine.testing.fake_base import fake_info
from engine.text.tokenizer import Tokenizer
from tests.trainer.build import (
    TENANT,
    jsonl,
    mood_rows,
    pair_rows,
    question_rows,
    relevance_rows,
    tag_rows,
    value_rows,
)
from trainer.errors import BadSetting
from trainer.jobs.job_files import JobFiles
from trainer.jobs.values import FileRecord, JobSpec, TrainingSettings
from trainer.pipeline.job_checks import InProcessJobChecks, in_process_job_checks

ROWS = {
    "classify": mood_rows(),
    "tag": tag_rows(),
    "regress": value_rows(),
    "span": question_rows(),
    "embed": pair_rows(),
    "rerank": relevance_rows(),
    "generate": [{"prompt": f"say {i}", "completion": f"x{i}"} for i in range(60)],
    "clasify": mood_rows(),
}
KINDS = ("", "lora", "bottleneck", "ia3", "bias", "head_only", "prompt", "loar")
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"rank": 4},
    {"reduction": 4},
    {"reduction": 1024},
    {"dora": True, "lora_bias": True},
    {"targets": ["query"]},
    {"targets": ["nothing"]},
    {"feedforward": ["query"]},
    {"layers": 9},
    {"unfreeze": 1},
    {"unfreeze": 9},
    {"class_weights": {"glad": 2.0}},
    {"class_weights": {"gald": 2.0}},
    {"label_smoothing": 0.1},
    {"window": 32},
    {"window": 4096},
    {"window": 16, "stride": 15},
    {"epochs": 1, "batch_rows": 1024},
    {"epochs": 200, "seeds": 20},
    {"dev_share": 0.0, "search": {"trials": 2}},
    {"search": {"trials": 2}},
    {"search": {"trials": 2, "space": {"kind": ["loar"]}}},
    {"search": {"trials": 2, "space": {"kind": ["bias", "ia3"], "epochs": [2, 3]}}},
    {"search": {"trials": 2, "space": {"seed": [1, 2]}}},
    {"search": {"trials": 2, "space": {"layers": [9, 10]}}},
    {"learning_curve": True},
)


def checks(path: Path, info: EngineInfo | None) -> InProcessJobChecks:
    record = FileRecord(
        id="f", tenant=TENANT, filename="rows.jsonl", purpose="", bytes=0, sha256="", created_at=0
    )
    files = JobFiles(records={"f": record}, paths={"f": path})
    tokenizer = info and Tokenizer(info.tokenizer_json, info.max_tokens)
    return in_process_job_checks(files, info, tokenizer, 10_000)


def refusal(of: InProcessJobChecks, spec: JobSpec) -> tuple[str | None, list[str]]:
    """The sentence that refuses the job, and what the check says that it left out."""
    try:
        checked = of.check(spec)
    except BadSetting as error:
        return str(error), []
    errors = [found["message"] for found in checked.findings if found["severity"] == "error"]
    left_out = [found for found in checked.findings if found["code"] == "no_base"]
    assert bool(errors) != checked.ok
    return next(iter(errors), None), left_out[0]["facts"]["unchecked"] if left_out else []


def specs(head: str) -> Iterator[JobSpec]:
    for kind, settings, pooling in itertools.product(KINDS, SETTINGS, ("", "last", "middle")):
        if pooling and settings:
            continue
        chosen = (*(["kind"] if kind else []), *settings)
        yield JobSpec(
            tenant=TENANT, task="t", file_id="f", head=head, kind=kind or "lora", pooling=pooling,
            settings=TrainingSettings.parse(settings), chosen=chosen,
        )  # fmt: skip


@pytest.mark.parametrize("head", ROWS)
def test_both_give_one_verdict_on_every_kind_and_setting(head: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(ROWS[head]))
    alone, submitting = checks(path, None), checks(path, fake_info())
    for spec in specs(head):
        (said, left_out), (refused, _) = refusal(alone, spec), refusal(submitting, spec)
        what = (spec.kind, spec.pooling, spec.settings.model_dump(exclude_defaults=True))
        assert refused or not said, (what, said)  # the check refuses no more than a submit
        assert said or not refused or left_out, (what, refused)
