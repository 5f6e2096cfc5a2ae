"""Too little data: a head over the frozen base, unless its owner chose otherwise."""

from __future__ import annotations

from typing import Any

from tests.trainer.build import TENANT, TrainerEnv, jsonl, pair_rows
from tests.trainer.data_checks.looking import codes, finding, look, moods


def test_under_fifty_rows_only_the_head_is_trained_and_for_longer() -> None:
    examination = look(moods(40))
    assert (examination.spec.kind, examination.spec.settings.epochs) == ("head_only", 60)
    found = finding("few_shot_recipe", moods(40))
    assert "There are 40 rows, fewer than 50" in found.message
    assert found.facts["instead_of"] == "lora"


def test_classes_of_fewer_than_eight_rows_have_the_same_effect() -> None:
    rows = [*moods(120)[::2], *moods()[1:13:2]]
    assert look(rows).spec.kind == "head_only"
    assert finding("few_per_class", rows).facts["rows"] == {"sad": 6}


def test_one_rare_class_among_many_is_only_warned_about() -> None:
    rows: list[dict[str, Any]] = [
        {"text": f"x{i} y{i} z{i}", "label": f"c{i % 5}"} for i in range(200)
    ]
    rows += [{"text": f"rare {i}", "label": "rare"} for i in range(4)]
    assert look(rows).spec.kind == "lora"
    assert {"few_per_class"} <= codes(rows)
    assert "few_shot_recipe" not in codes(rows)


def test_a_chosen_kind_stays_and_so_does_a_setting_of_that_kind() -> None:
    for chosen in (("kind",), ("rank",)):
        examination = look(moods(40), chosen=chosen)
        assert examination.spec.kind == "lora"
        assert "few_shot_declined" in {f.code for f in examination.findings}


def test_chosen_epochs_stay() -> None:
    examination = look(moods(40), settings={"epochs": 7}, chosen=("epochs",))
    assert (examination.spec.kind, examination.spec.settings.epochs) == ("head_only", 7)


def test_a_head_without_weights_cannot_be_trained_alone() -> None:
    assert look(pair_rows(40), head="embed").spec.kind == "lora"


def test_enough_rows_change_nothing() -> None:
    examination = look(moods(3000))
    assert examination.spec == examination.subject.spec


def test_a_job_says_what_it_changed_and_trains_that(trainer_env: TrainerEnv) -> None:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(moods(40)), chosen=("epochs", "seeds")))
    assert trainer_env.trainer.run_once()
    ended = trainer_env.trainer.get(TENANT, job.id)
    assert ended.status == "succeeded", ended.error_message
    version = trainer_env.registry.resolve(TENANT, "mood")
    assert version.lineage["kind"] == "head_only"
    events = trainer_env.trainer.events(TENANT, job.id, after=None, limit=100)
    assert "data.few_shot_recipe" in {event.code for event in events}
    assert any("head over the frozen base" in warning for warning in ended.result["warnings"])
