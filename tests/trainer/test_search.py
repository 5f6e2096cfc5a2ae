"""The search on dev: what is tried, what ends early, what is kept and what is said of it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from engine.errors import Diverged
from engine.port import (
    CloseTraining,
    OpenTraining,
    Predict,
    Result,
    Save,
    Step,
    Train,
    TrainingOpened,
)
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.errors import BadSetting
from trainer.jobs.states import Phase, Status
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import Job, JobSpec
from trainer.recipe.recipe import check_recipe
from trainer.recipe.search_space import candidates
from trainer.settings.settings import TrainingSettings

ROWS = jsonl(mood_rows(200))


def run(trainer_env: TrainerEnv, **settings: Any) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(ROWS, settings={"epochs": 4, **settings}))
    assert trainer_env.trainer.run_once()
    return trainer_env.trainer.get(TENANT, job.id)


def steps(trainer_env: TrainerEnv, kind: type[Any]) -> list[Any]:
    assert isinstance(trainer_env.port, FakeEngine)
    return [step for step in trainer_env.port.steps if isinstance(step, kind)]


def spec(kind: str = "lora", **settings: Any) -> JobSpec:
    parsed = TrainingSettings.parse(settings)
    return JobSpec(tenant="t", task="t", file_id="f", kind=kind, settings=parsed)


def tried(trainer_env: TrainerEnv, what: JobSpec) -> list[JobSpec]:
    return candidates(what, trainer_env.port.info)


def test_without_a_search_there_is_one_setting(trainer_env: TrainerEnv) -> None:
    assert tried(trainer_env, spec()) == [spec()]


def test_the_setting_as_it_stands_is_tried_first_and_none_twice(trainer_env: TrainerEnv) -> None:
    found = tried(trainer_env, spec(search={"trials": 8}, weight_decay=0.2))
    assert found[0] == spec(weight_decay=0.2)
    assert len(found) == 8
    assert all(found.count(each) == 1 for each in found)
    assert {each.settings.weight_decay for each in found} == {0.2}


def test_the_same_seed_draws_the_same_candidates(trainer_env: TrainerEnv) -> None:
    first, again, other = (
        tried(trainer_env, spec(search={"trials": 6}, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert [each.settings.learning_rate for each in first[1:]] != [
        each.settings.learning_rate for each in other[1:]
    ]


def test_the_usual_space_has_peers_ranks_layers_dropout_rates_and_epochs(
    trainer_env: TrainerEnv,
) -> None:
    found = tried(trainer_env, spec(search={"trials": 60}))[1:]
    loras = [each for each in found if each.kind == "lora"]
    assert {each.kind for each in found} == {"lora", "bottleneck"}
    assert {each.settings.rank for each in loras} == {4, 8, 16, 32}
    assert {each.settings.layers for each in found} == {1, "half", "all"}
    assert {each.settings.dropout for each in found} == {0.0, 0.1, 0.2}
    assert {each.settings.epochs for each in found} == {3, 5, 8}
    assert all(1e-3 / 3 <= (each.settings.learning_rate or 0) <= 3e-3 for each in found)


def test_a_kind_that_was_described_is_the_only_one_tried(trainer_env: TrainerEnv) -> None:
    assert {each.kind for each in tried(trainer_env, spec(search={"trials": 20}, dora=True))} == {
        "lora"
    }
    assert {each.kind for each in tried(trainer_env, spec("ia3", search={"trials": 20}))} == {"ia3"}


def test_a_space_of_one_s_own_holds_choices_and_spans(trainer_env: TrainerEnv) -> None:
    space = {
        "kind": ["lora", "ia3"],
        "learning_rate": {"low": 1e-4, "high": 1e-3, "log": True},
        "rank": [2.0, 3.0],
        "batch_rows": {"low": 8, "high": 16},
    }
    found = tried(trainer_env, spec(search={"trials": 30, "space": space}))[1:]
    assert {each.settings.rank for each in found if each.kind == "lora"} == {2, 3}
    assert {each.settings.rank for each in found if each.kind == "ia3"} == {8}
    assert all(8 <= each.settings.batch_rows <= 16 for each in found)
    assert all(1e-4 <= (each.settings.learning_rate or 0) <= 1e-3 for each in found)


def test_a_small_space_is_tried_as_far_as_it_goes(trainer_env: TrainerEnv) -> None:
    space = {"rank": [4, 8]}
    assert len(tried(trainer_env, spec(search={"trials": 10, "space": space}))) == 2


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        (8, "search must be an object"),
        ({"trials": 1}, "between 2 and 200"),
        ({"trials": 2.5}, "whole number"),
        ({"trails": 3}, "search has no 'trails'; it has trials, halving, space"),
        ({"halving": 1}, "true or false"),
        ({"space": []}, "must be an object of names"),
        ({"space": {"rank": []}}, "takes a list of values, or low and high"),
        ({"space": {"rank": {"low": 8, "high": 4}}}, "takes a list of values"),
        ({"space": {"learning_rate": {"low": 0, "high": 1, "log": True}}}, "low must be above 0"),
        (
            {"space": {"seeds": [1, 2]}},
            "names 'seeds', which cannot be searched; it may name activation",
        ),
        ({"space": {"kind": ["magic"]}}, "the kind 'magic'; it must be one of lora"),
        ({"space": {"rank": [4, 9999]}}, "rank is 9999"),
        ({"space": {"layers": [1, 99]}}, "layers is 99; the base has 2 layers"),
        ({"space": {"schedule": {"low": 1, "high": 2}}}, "schedule is"),
        ({"space": {"kind": [["lora"]]}}, "the kind \\['lora'\\]; it must be one of lora"),
        ({"space": {"epochs": {"low": 1.2, "high": 1.8}}}, "which contains no whole number"),
        ({"space": {"epochs": {"low": 0.1, "high": 0.5, "log": True}}}, "contains no whole number"),
        ({"space": {"learning_rate": {"low": -1e308, "high": 1e308}}}, "takes a list of values"),
    ],
)
def test_a_bad_search_is_refused_before_the_job_queues(
    trainer_env: TrainerEnv, search: Any, sentence: str
) -> None:
    with pytest.raises(BadSetting, match=sentence):
        trainer_env.trainer.submit(trainer_env.spec(ROWS, settings={"search": search}))
    assert trainer_env.trainer.list(TENANT) == []


def test_a_search_around_a_kind_that_there_is_not_is_refused(trainer_env: TrainerEnv) -> None:
    with pytest.raises(BadSetting, match="kind is 'magic'; it must be one of"):
        trainer_env.trainer.submit(
            trainer_env.spec(ROWS, kind="magic", settings={"search": {"trials": 2}})
        )


def test_a_search_without_dev_rows_is_refused(trainer_env: TrainerEnv) -> None:
    with pytest.raises(BadSetting, match="compares trials on dev rows, and there are none"):
        trainer_env.trainer.submit(trainer_env.spec(ROWS, settings={"search": {}, "dev_share": 0}))


def test_a_job_with_a_search_is_read_back_as_it_was_stored() -> None:
    what = spec(search={"trials": 3, "space": {"rank": [4, 8]}})
    assert spec_of(what.to_json(), what.tenant) == what


def test_the_best_trial_is_trained_on_with_other_seeds_and_published(
    trainer_env: TrainerEnv,
) -> None:
    job = run(trainer_env, seeds=3, search={"trials": 4})
    assert job.status is Status.SUCCEEDED, job.error_message
    report = job.result["search"]
    assert [trial["number"] for trial in report["trials"]] == [0, 1, 2, 3]
    chosen = report["trials"][report["chosen"]]
    best = max(t["dev"]["accuracy"] for t in report["trials"] if t["status"] == "completed")
    assert chosen["dev"]["accuracy"] == best
    # the winner's own run is the first of the three seeds
    assert len(steps(trainer_env, OpenTraining)) == 4 + 2
    assert job.result["seeds"]["seeds"] == [0, 1, 2]
    assert job.result["seeds"]["dev"]["accuracy"]["values"][0] == best
    version = trainer_env.registry.resolve(TENANT, "mood")
    for name, value in chosen["settings"].items():
        place = version.lineage if name == "kind" else version.lineage["settings"]
        assert place[name] == value


def test_a_search_holds_few_slots_and_gives_all_back(trainer_env: TrainerEnv) -> None:
    run(trainer_env, seeds=2, search={"trials": 5})
    assert isinstance(trainer_env.port, FakeEngine)
    opened = most = 0
    for step in trainer_env.port.steps:
        opened += isinstance(step, OpenTraining) - isinstance(step, CloseTraining)
        most = max(most, opened)
    assert (most, opened) == (2, 0)


def test_no_test_row_is_answered_before_the_choice(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, seeds=1, search={"trials": 3, "halving": False})
    assert isinstance(trainer_env.port, FakeEngine)
    last = max(i for i, step in enumerate(trainer_env.port.steps) if isinstance(step, Train))
    num_dev = job.result["rows"]["dev"]
    epochs = sum(trial["epochs"] for trial in job.result["search"]["trials"])
    # the data doctor asks the bare base, slot 0, how alike texts are; that judges nothing
    asked = [s.rows for s in trainer_env.port.steps[:last] if isinstance(s, Predict)]
    before = sum(row.slot > 0 for rows in asked for row in rows)
    assert before == (epochs - 1) * num_dev  # those after the last step are the last epoch's


class Dull(FakeEngine):
    """Slots that open with any of these dropouts learn nothing."""

    def __init__(self, *dropouts: float) -> None:
        super().__init__()
        self.dropouts = dropouts
        self.dull: set[int] = set()

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Train) and step.slot in self.dull:
            step = msgspec.structs.replace(step, learning_rate=0.0)
        future = FakeEngine.submit(self, step)
        if isinstance(step, OpenTraining):
            opened = future.result()
            assert isinstance(opened, TrainingOpened)
            self.dull -= {opened.slot}
            self.dull |= {opened.slot} if step.dropout in self.dropouts else set()
        return future


def test_halving_ends_poor_candidates_early_and_counts_what_that_saves(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Dull(0.3, 0.4))
    search = {"trials": 4, "space": {"dropout": [0.2, 0.3, 0.4]}}
    report = run(trainer_env, epochs=8, patience=8, seeds=1, search=search).result["search"]
    for trial in report["trials"]:
        is_dull = trial["settings"].get("dropout") in (0.3, 0.4)
        assert (trial["status"], trial["epochs"]) == (
            ("pruned", 1) if is_dull else ("completed", 8)
        )
    num_steps = report["trials"][0]["planned_steps"]
    assert report["saved_steps"] == 2 * num_steps * 7 // 8
    assert report["steps"] == sum(trial["steps"] for trial in report["trials"])
    trainer_env.close()


def test_without_halving_every_candidate_trains_to_its_end(trainer_env: TrainerEnv) -> None:
    search = {"trials": 4, "halving": False, "space": {"dropout": [0.0, 0.2, 0.3, 0.4]}}
    report = run(trainer_env, patience=9, seeds=1, search=search).result["search"]
    assert {trial["status"] for trial in report["trials"]} == {"completed"}
    assert (report["saved_steps"], {trial["epochs"] for trial in report["trials"]}) == (0, {4})


class Divergent(FakeEngine):
    """Slots that open with any of these seeds or dropouts diverge at their first step."""

    def __init__(self, *, seeds: tuple[int, ...] = (), dropouts: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.seeds, self.dropouts = seeds, dropouts
        self.bad: set[int] = set()

    def submit(self, step: Step) -> Future[Result]:
        future = FakeEngine.submit(self, step)
        if isinstance(step, OpenTraining) and (
            step.seed in self.seeds or step.dropout in self.dropouts
        ):
            self.bad.add(max(self.training))
        if isinstance(step, Train) and step.slot in self.bad and step.step == 1:
            future = Future()
            future.set_exception(Diverged("the training loss is nan"))
        elif isinstance(step, CloseTraining):
            self.bad.discard(step.slot)
        return future


def test_a_candidate_that_diverges_is_listed_and_never_chosen(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Divergent(dropouts=(0.3,)))
    search = {"trials": 2, "space": {"dropout": [0.3]}}
    job = run(trainer_env, seeds=1, search=search)
    statuses = [trial["status"] for trial in job.result["search"]["trials"]]
    assert (job.status, statuses) == (Status.SUCCEEDED, ["completed", "diverged"])
    assert job.result["search"]["chosen"] == 0
    trainer_env.close()


def test_a_search_in_which_all_diverge_fails_the_job(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Divergent(seeds=(0,)))
    job = run(trainer_env, search={"trials": 2})
    assert (job.status, job.error_code) == (Status.FAILED, "diverged")
    assert "All 2 trials" in (job.error_message or "")
    trainer_env.close()


def test_a_seed_that_diverges_is_said_and_not_counted(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Divergent(seeds=(1,)))
    job = run(trainer_env, seeds=3)
    assert job.result["seeds"]["seeds"] == [0, 2]
    assert any("Seed 1 is left out: Training diverged" in w for w in job.result["warnings"])
    events = trainer_env.trainer.events(TENANT, job.id, limit=99)
    assert any(event.code == "run.diverged" and event.level == "warn" for event in events)
    trainer_env.close()


def test_a_job_with_a_search_says_which_phase_it_is_in(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, seeds=2, search={"trials": 3})
    codes = [event.code for event in trainer_env.trainer.events(TENANT, job.id, limit=99)]
    phases = [code for code in codes if code.startswith("phase.")]
    assert phases.index(f"phase.{Phase.SEARCHING}") + 1 == phases.index(f"phase.{Phase.TRAINING}")
    assert codes.count("search.trial") == 3
    assert codes.count("search.chosen") == 1
    assert len(steps(trainer_env, Save)) == 1


def test_a_job_larger_than_the_server_takes_is_refused_by_its_size(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, max_rows=1_000)
    rows = jsonl(mood_rows())
    trainer_env.trainer.submit(trainer_env.spec(rows, settings={"epochs": 5}))
    search = {"trials": 8, "halving": False, "space": {"dropout": {"low": 0.0, "high": 0.5}}}
    with pytest.raises(BadSetting, match=r"train on [0-9,]+ rows .* allows at most 1,000"):
        trainer_env.trainer.submit(trainer_env.spec(rows, settings={"epochs": 5, "search": search}))
    assert len(trainer_env.trainer.list(TENANT)) == 1
    trainer_env.close()


@pytest.mark.parametrize(("search", "num"), [(None, 1), ({"trials": 3}, 3)])
def test_each_recipe_is_checked_once_before_a_job_queues(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch, search: Any, num: int
) -> None:
    checked: list[Any] = []

    def check(spec: Any, info: Any) -> None:
        checked.append(spec)
        check_recipe(spec, info)

    monkeypatch.setattr("trainer.pipeline.admission.check_recipe", check)
    trainer_env.trainer.submit(trainer_env.spec(ROWS, settings={"search": search}))
    assert len(checked) == num
