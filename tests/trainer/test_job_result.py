"""The names under which a job's result is stored: whoever reads results reads them by these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.port import EnginePort
from engine.runtime.in_thread import ThreadEngine
from tests.contracts.tiny import build_base
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.jobs.states import Status
from trainer.jobs.values import Job
from trainer.pipeline.job_result import JobResult, TrainingResult

COMMON = {
    "task", "version", "digest", "metrics", "trainable_parameters", "rows", "epochs", "kind",
    "warnings", "findings", "baseline", "report", "seconds", "result_files", "already_published",
}  # fmt: skip
TEXTS = COMMON | {"seeds", "search", "trained_tokens", "learning_rate"}
TRAINED = TEXTS | {"latency"}
PROMPT = COMMON | {"examples"}
PROVENANCE = {"request", "files", "software", "machine"}
LINEAGE = PROVENANCE | {
    "job", "dataset", "split_seed", "settings", "settings_sha256", "parent", "base", "numerics",
    "code",
}  # fmt: skip
OF_THE_JOB = {"task", "version", "digest", "result_files", "already_published"}
EPOCH = {"number", "loss", "dev", "best", "dev_loss", "score", "step"}
SEEDS = {"seeds", "kept", "averaged", "dev", "test"}
SEARCH = {"chosen", "trials", "steps", "saved_steps"}
TRIAL = {
    "number", "settings", "status", "dev", "epochs", "planned_epochs", "steps", "planned_steps",
}  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginePort]:
    folder = tmp_path_factory.mktemp("llama")
    build_base("llama", folder)
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


def run(trainer_env: TrainerEnv, rows: list[dict[str, Any]], **options: Any) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(rows), **options))
    assert trainer_env.trainer.run_once()
    job = trainer_env.trainer.get(TENANT, job.id)
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    return job


def lineage(trainer_env: TrainerEnv) -> dict[str, Any]:
    return dict(trainer_env.registry.resolve(TENANT, "mood").lineage)


def test_a_classify_job_stores_these_names(trainer_env: TrainerEnv) -> None:
    result = run(trainer_env, mood_rows()).result
    assert set(result) == TRAINED
    assert set(result["metrics"]) == {"dev", "test"}
    assert set(result["rows"]) == {"train", "dev", "test"}
    assert [set(epoch) for epoch in result["epochs"]] == [EPOCH] * 2
    assert set(result["seeds"]) == SEEDS
    assert result["search"] is None
    known = lineage(trainer_env)
    assert set(known) == (TRAINED - OF_THE_JOB) | LINEAGE
    assert {name: known[name] for name in TRAINED - OF_THE_JOB} == {
        name: result[name] for name in TRAINED - OF_THE_JOB
    }


def test_a_search_job_stores_these_names(trainer_env: TrainerEnv) -> None:
    settings = {"search": {"trials": 2, "space": {"rank": [2, 4]}}}
    result = run(trainer_env, mood_rows(), settings=settings).result
    assert set(result) == TRAINED
    assert set(result["search"]) == SEARCH
    assert [set(trial) for trial in result["search"]["trials"]] == [TRIAL] * 2


@pytest.mark.parametrize(("kind", "names"), [("lora", TEXTS), ("prompt", PROMPT)])
def test_a_generate_job_stores_these_names(
    tmp_path: Path, llama: EnginePort, kind: str, names: set[str]
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=llama)
    rows = [{"text": f"w1 w{i}", "label": f"w{20 + i % 3}"} for i in range(30)]
    settings = {"max_tokens": 32} if kind == "lora" else {}
    result = run(trainer_env, rows, head="generate", kind=kind, settings=settings).result
    assert set(result) == names
    assert set(lineage(trainer_env)) == (names - OF_THE_JOB) | LINEAGE
    trainer_env.close()


def test_what_is_not_known_yet_is_not_stored() -> None:
    training = TrainingResult(seeds={}, search=None, trained_tokens=9, learning_rate=0.1)
    result = JobResult(
        kind="lora", dev_metrics={}, test_metrics={"accuracy": 1.0}, trainable_parameters=3,
        rows={"train": 1}, epochs=[], warnings=[], findings=[], training=training,
    )  # fmt: skip
    begun = result.to_json()
    assert begun == {
        "metrics": {"dev": {}, "test": {"accuracy": 1.0}},
        "seeds": {}, "search": None, "trained_tokens": 9, "learning_rate": 0.1,
        "trainable_parameters": 3, "rows": {"train": 1}, "epochs": [], "kind": "lora",
        "warnings": [], "findings": [],
    }  # fmt: skip
    assert replace(result, seconds=0.0).to_json() == {**begun, "seconds": 0.0}
