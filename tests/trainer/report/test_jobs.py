"""Whole jobs over the fake engine, each ending with the report of its head."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters_registry.errors import BlobMissing
from adapters_registry.registry import Registry
from engine.config import EngineConfig
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
from trainer.errors import TrainingDiverged
from trainer.jobs.states import Status
from trainer.jobs.values import Job
from trainer.metrics.order import METRIC_ORDER
from trainer.pipeline.reporting import REPORT
from trainer.report import reporter
from trainer.report.compose import compose
from trainer.report.page.page import render_page
from trainer.report.reporter import MODULE
from trainer.sandbox.command import ask_child
from trainer.training.runs import Runs


def compose_here(module: str, question: Any, **given: Any) -> dict[str, Any]:
    """As the child does, without the seconds that its imports take."""
    del given
    assert module == MODULE
    answer: dict[str, Any] = json.loads(json.dumps(compose(json.loads(json.dumps(question)))))
    return answer


@pytest.fixture
def judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerEnv]:
    monkeypatch.setattr(reporter, "ask_child", compose_here)
    made = TrainerEnv(directory=tmp_path, report_timeout_s=120)
    yield made
    made.close()


def run(trainer_env: TrainerEnv, content: bytes, **given: Any) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(content, **given))
    assert trainer_env.trainer.run_once()
    job = trainer_env.trainer.get(TENANT, job.id)
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    return job


def report(trainer_env: TrainerEnv, job: Job) -> dict[str, Any]:
    version = trainer_env.registry.resolve(TENANT, f"{job.spec.task}@{job.version}")
    stored = trainer_env.registry.beside(version, REPORT)
    assert stored is not None, job.result["report"]
    found: dict[str, Any] = json.loads(stored)
    return found


@pytest.mark.parametrize(
    ("head", "rows", "metric", "others"),
    [
        ("classify", mood_rows(), "accuracy", {"macro_f1", "mcc", "f1_per_class"}),
        ("classify", topic_rows(), "micro_f1", {"macro_f1", "exact", "f1_per_label"}),
        ("regress", value_rows(), "rmse", {"mae", "pearson", "spearman", "r2"}),
        ("tag", tag_rows(), "f1", {"precision", "recall", "f1_per_type"}),
        ("span", question_rows(), "f1", {"exact_match"}),
        ("embed", pair_rows(), "accuracy", {"mrr"}),
        ("rerank", relevance_rows(), "auc", {"average_precision", "f1"}),
    ],
)
def test_every_head_ends_with_its_report(
    judging: TrainerEnv, head: str, rows: Any, metric: str, others: set[str]
) -> None:
    job = run(judging, jsonl(rows), head=head)
    found = report(judging, job)
    assert found["headline"]["metric"] == metric
    assert found["headline"]["low"] <= found["headline"]["value"] <= found["headline"]["high"]
    metrics = list(job.result["metrics"]["test"])
    assert others <= set(metrics)
    assert metrics == sorted(metrics, key=METRIC_ORDER.index)
    assert metrics[0] == metric
    assert {"test", "majority"} <= set(job.result["baseline"])
    assert found["comparisons"][0]["against"].startswith("the baseline")
    assert found["parameters"]["trainable"] > 0
    assert found["curves"][0]["epochs"][-1]["loss"] is not None
    assert "<script" not in render_page("mood@1", [], found)


def test_a_later_version_is_held_against_production_on_the_same_rows(judging: TrainerEnv) -> None:
    first = run(judging, jsonl(mood_rows()))
    second = run(judging, jsonl(mood_rows()), settings={"epochs": 2, "seed": 5})
    found = report(judging, second)
    assert found["production"] == {"version": first.version, "digest": first.digest}
    against = [each["against"] for each in found["comparisons"]]
    assert against[1] == "version 1 (production)"


def test_a_prompt_is_judged_and_held_against_production_like_any_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "ask_child", compose_here)
    folder = build_base("llama", tmp_path / "base")
    port = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    trainer_env = TrainerEnv(directory=tmp_path, port=port, report_timeout_s=120)
    rows = [{"text": f"w1 w{i % 50} w{i}", "label": f"w{20 + i % 3}"} for i in range(60)]
    for seed in range(2):
        job = run(
            trainer_env, jsonl(rows), head="generate", kind="prompt", split_seed=seed, promote=True
        )
    found = report(trainer_env, job)
    assert job.result["baseline"].keys() >= {"name", "test", "majority", "copy"}
    against = [each["against"] for each in found["comparisons"]]
    assert against[1:] == ["version 1 (production)"]
    assert (found["parameters"]["trainable"], job.result["seconds"] > 0) == (0, True)
    assert "<h1" in render_page("mood@2", [], found)
    trainer_env.close()
    port.close()


def test_a_damaged_production_costs_the_job_the_comparison_and_no_more(
    judging: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(judging, jsonl(mood_rows()))

    def gone(*_: Any) -> None:
        raise BlobMissing("The file of the weights is gone.")

    monkeypatch.setattr(Registry, "files", gone)
    found = report(judging, run(judging, jsonl(mood_rows()), settings={"epochs": 2, "seed": 5}))
    assert "The file of the weights is gone." in found["production"]["skipped"]


def test_production_with_other_labels_is_not_held_against(judging: TrainerEnv) -> None:
    run(judging, jsonl(mood_rows()))
    renamed = [{**row, "label": row["label"].upper()} for row in mood_rows()]
    found = report(judging, run(judging, jsonl(renamed)))
    assert "it has only glad, sad; this one has only GLAD, SAD" in found["production"]["skipped"]
    assert len(found["comparisons"]) == 1


def test_production_of_another_file_may_have_seen_the_test_rows(judging: TrainerEnv) -> None:
    run(judging, jsonl(mood_rows(40)))
    found = report(judging, run(judging, jsonl(mood_rows(60))))
    assert "it may have seen some test rows" in found["production"]["note"]


def test_a_version_is_published_without_a_report_that_cannot_be_made(
    trainer_env: TrainerEnv,
) -> None:
    job = run(trainer_env, jsonl(mood_rows()))
    assert job.result["report"] == {"error": "trainer.report took longer than 0 seconds."}
    version = trainer_env.registry.resolve(TENANT, "mood")
    assert trainer_env.registry.beside(version, REPORT) is None
    assert version.lineage["report"] == job.result["report"]
    (event,) = trainer_env.trainer.events(TENANT, job.id, codes=["report.failed"], limit=9)
    assert (event.level, "took longer than 0 seconds" in event.message) == ("warn", True)


def test_the_result_and_the_lineage_have_the_summary(judging: TrainerEnv) -> None:
    job = run(judging, jsonl(mood_rows()))
    whole, version = report(judging, job), judging.registry.resolve(TENANT, "mood")
    assert job.result["report"] == version.lineage["report"]
    for name, part in job.result["report"].items():
        assert name in ("calibration", "selective") or part == whole[name]
    assert len(json.dumps(job.result["report"])) < 6000


def test_several_seeds_are_in_the_report_with_their_curves(judging: TrainerEnv) -> None:
    found = report(judging, run(judging, jsonl(mood_rows()), settings={"seeds": 3}))
    assert [run["kept"] for run in found["curves"]].count(True) == 1
    assert len(found["seeds"]["values"]) == 3


def test_a_temperature_is_fitted_served_and_part_of_the_version(judging: TrainerEnv) -> None:
    job = run(judging, jsonl(mood_rows(300)))
    version = judging.registry.resolve(TENANT, "mood")
    temperature = version.manifest.semantics["head"]["temperature"]
    assert report(judging, job)["calibration"]["temperature"] == temperature
    assert temperature != 1.0


def test_the_child_makes_the_report_that_it_would_make_here(
    judging: TrainerEnv, tmp_path: Path
) -> None:
    here = report(judging, run(judging, jsonl(mood_rows())))
    apart = TrainerEnv(directory=tmp_path / "apart", port=judging.port, report_timeout_s=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporter, "ask_child", ask_child)
        assert report(apart, run(apart, jsonl(mood_rows()))) == here
    apart.close()


def test_a_search_leaves_its_trials_and_the_winner_in_the_report(judging: TrainerEnv) -> None:
    settings = {"search": {"trials": 3, "space": {"rank": [2, 4, 16]}}}
    job = run(judging, jsonl(mood_rows()), settings=settings)
    found = report(judging, job)["search"]
    assert [row["settings"]["rank"] for row in found["trials"]] == [8, *found_ranks(job)[1:]]
    assert found["chosen"] == job.result["search"]["chosen"]
    assert job.result["report"]["search"]["words"] == found["words"]


def found_ranks(job: Job) -> list[Any]:
    return [trial["settings"].get("rank") for trial in job.result["search"]["trials"]]


def test_thresholds_are_chosen_from_the_logits_of_the_dev_rows(judging: TrainerEnv) -> None:
    job = run(judging, jsonl(mood_rows(300)), settings={"class_weights": {"sad": 3.0}})
    found = report(judging, job)
    assert found["selective"]["thresholds"][0]["rows"] == found["rows"]["test"]
    assert found["selective"]["note"] is None or "too few" not in found["selective"]["note"]
    assert found["costs"]["weights"] == {"glad": 1.0, "sad": 3.0}
    assert found["costs"]["cheapest"]["label"] == "sad"


def test_balanced_weights_are_not_costs(judging: TrainerEnv) -> None:
    job = run(judging, jsonl(mood_rows()), settings={"class_weights": "balanced"})
    assert report(judging, job)["costs"] is None


def test_a_learning_curve_trains_on_parts_and_keeps_none_of_them(judging: TrainerEnv) -> None:
    settings = {"learning_curve": True, "epochs": 3}
    found = report(judging, run(judging, jsonl(mood_rows(300)), settings=settings))
    points = found["learning_curve"]["points"]
    assert [point["rows"] for point in points] == [54, 108, 216]
    assert found["rows"]["train"] == 216
    assert len(judging.registry.versions(TENANT, "mood")) == 1


def test_a_learning_curve_that_diverges_leaves_the_job_its_version(
    judging: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Runs.train

    def diverging(runs: Runs, spec: Any, name: str, *given: Any) -> Any:
        if name == "share-0.25":
            raise TrainingDiverged("The loss is nan.", step=3)
        return train(runs, spec, name, *given)

    monkeypatch.setattr(Runs, "train", diverging)
    settings = {"learning_curve": True, "epochs": 3}
    found = report(judging, run(judging, jsonl(mood_rows(300)), settings=settings))
    assert [point["rows"] for point in found["learning_curve"]["points"]] == [108, 216]


def test_the_same_job_has_the_same_report(judging: TrainerEnv) -> None:
    jobs = [run(judging, jsonl(mood_rows()), task=f"mood-{i}") for i in range(2)]
    assert report(judging, jobs[0]) == report(judging, jobs[1])


def test_the_verdict_is_an_event_with_its_reasons(judging: TrainerEnv) -> None:
    job = run(judging, jsonl(mood_rows()))
    verdict = report(judging, job)["verdict"]
    (event,) = judging.trainer.events(TENANT, job.id, codes=["report.verdict"], limit=9)
    assert event.data["decision"] == verdict["decision"]
    assert event.message.endswith(" ".join(verdict["reasons"]))
    assert event.level == ("warn" if verdict["decision"] == "do_not_ship" else "info")
