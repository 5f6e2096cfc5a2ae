"""Several seeds of one setting: one kept by dev, all reported, the test rows come last."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import pytest

from engine.port import Average, CloseTraining, OpenTraining, Predict, Save, Train
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.jobs.states import Status
from trainer.jobs.values import Job


def run(trainer_env: TrainerEnv, **settings: Any) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows(200)), settings=settings))
    assert trainer_env.trainer.run_once()
    return trainer_env.trainer.get(TENANT, job.id)


def steps(trainer_env: TrainerEnv, kind: type[Any]) -> list[Any]:
    assert isinstance(trainer_env.port, FakeEngine)
    return [step for step in trainer_env.port.steps if isinstance(step, kind)]


def test_every_seed_has_a_slot_of_its_own_and_all_are_given_back(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, seeds=3, seed=5)
    assert job.status is Status.SUCCEEDED
    assert [step.seed for step in steps(trainer_env, OpenTraining)] == [5, 6, 7]
    assert len({step.slot for step in steps(trainer_env, CloseTraining)}) == 3
    assert isinstance(trainer_env.port, FakeEngine)
    assert trainer_env.port.training == {}


def test_the_seed_that_is_best_on_dev_is_kept_and_named(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, seeds=3)
    seeds = job.result["seeds"]
    values = seeds["dev"]["accuracy"]["values"]
    kept = seeds["seeds"].index(seeds["kept"])
    assert values[kept] == max(values) == job.result["metrics"]["dev"]["accuracy"]
    assert seeds["test"]["accuracy"]["values"][kept] == job.result["metrics"]["test"]["accuracy"]
    lineage = trainer_env.registry.resolve(TENANT, "mood").lineage
    assert lineage["settings"]["seed"] == seeds["kept"]
    (saved,) = steps(trainer_env, Save)
    slots = list(dict.fromkeys(step.slot for step in steps(trainer_env, Train)))
    assert saved.slot == slots[kept]


@pytest.mark.parametrize("score", [2.0, -1.0])
def test_the_mean_of_the_seeds_is_published_where_it_is_better_on_dev(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch, score: float
) -> None:
    monkeypatch.setattr("trainer.training.runs.dev_score", lambda *_: (score,))
    job = run(trainer_env, seeds=3, seed=5, average_seeds=True)
    assert [step.initial_seed for step in steps(trainer_env, OpenTraining)] == [5] * 4
    (average,), (saved,) = steps(trainer_env, Average), steps(trainer_env, Save)
    events = trainer_env.trainer.events(TENANT, job.id, limit=99)
    (event,) = [event for event in events if event.code == "seeds.averaged"]
    assert job.result["seeds"]["averaged"] == event.data["published"] == (score > 1)
    assert (saved.slot == average.slot) == (score > 1)
    assert isinstance(trainer_env.port, FakeEngine)
    assert trainer_env.port.training == {}


@pytest.mark.parametrize(("given", "begin"), [({}, 5), ({"initial_seed": 9}, 9)])
def test_averaged_seeds_begin_with_the_weights_of_one_seed(
    trainer_env: TrainerEnv, given: dict[str, int], begin: int
) -> None:
    space = {"dropout": [0.0, 0.2]}
    search = {"trials": 2, "halving": False, "space": space}
    run(trainer_env, seeds=3, seed=5, average_seeds=True, search=search, **given)
    opened = steps(trainer_env, OpenTraining)
    assert {step.initial_seed or step.seed for step in opened} == {begin}


def test_seeds_are_not_averaged_without_dev_rows_to_judge_the_mean(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, seeds=2, average_seeds=True, dev_share=0)
    assert job.status is Status.SUCCEEDED
    assert job.result["seeds"]["averaged"] is False
    events = trainer_env.trainer.events(TENANT, job.id, limit=99)
    (event,) = [event for event in events if event.code == "seeds.averaged"]
    assert event.message.startswith("There are no dev rows to judge the mean")
    assert steps(trainer_env, Average) == []


def test_means_and_deviations_are_those_of_the_seeds(trainer_env: TrainerEnv) -> None:
    losses = run(trainer_env, seeds=3).result["seeds"]
    for part in ("dev", "test"):
        found = losses[part]["accuracy"]
        assert len(found["values"]) == 3
        assert found["mean"] == pytest.approx(fmean(found["values"]))
        assert found["std"] == pytest.approx(stdev(found["values"]))


def test_one_seed_has_no_deviation(trainer_env: TrainerEnv) -> None:
    assert run(trainer_env, seeds=1).result["seeds"]["dev"]["accuracy"]["std"] is None


def test_no_test_row_is_answered_before_the_last_run_has_ended(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, seeds=2, epochs=2)
    assert isinstance(trainer_env.port, FakeEngine)
    last = max(i for i, step in enumerate(trainer_env.port.steps) if isinstance(step, Train))
    rows = job.result["rows"]
    # the data doctor asks the bare base, slot 0, how alike texts are; that judges nothing
    asked = [s.rows if isinstance(s, Predict) else [] for s in trainer_env.port.steps]
    before = sum(row.slot > 0 for given in asked[:last] for row in given)
    judged = sum(row.slot > 0 for given in asked[last:] for row in given)
    assert before == 3 * rows["dev"]  # the last epoch's dev rows come after its last step
    # each seed, and the proof; training rows are looked at for labels that may be wrong, dev rows
    # once more for thresholds of confidence, and a few test rows to measure how long they take
    latency = job.result["latency"]
    timed = 1 + latency["calls"] + latency["batch_rows"]
    assert judged == 2 * rows["dev"] + 3 * rows["test"] + rows["train"] + timed


def test_the_largest_seed_has_neighbours_too(trainer_env: TrainerEnv) -> None:
    assert run(trainer_env, seeds=2, seed=2**31 - 1).result["seeds"]["seeds"] == [2**31 - 1, 0]
