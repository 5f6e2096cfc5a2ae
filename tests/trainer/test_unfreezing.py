"""Gradual unfreezing: the head first, then the layers from the top down."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.port import Fill, Train
from engine.testing.fake_base import fake_info
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows, value_rows
from trainer.errors import BadSetting
from trainer.jobs.states import Status
from trainer.jobs.values import JobSpec
from trainer.recipe.recipe import check_recipe
from trainer.recipe.unfreezing import frozen_below
from trainer.settings.settings import TrainingSettings


def stages(num_stages: int, adapted: list[int], **given: bool) -> list[int | None]:
    return [frozen_below(epoch, num_stages, adapted, 12, **given) for epoch in range(6)]


def test_the_head_is_alone_first_and_all_train_in_the_end() -> None:
    assert stages(3, [6, 7, 8, 9, 10, 11]) == [12, 10, 8, None, None, None]


def test_without_stages_all_train_from_the_beginning() -> None:
    assert stages(0, [6, 7]) == [None] * 6


def test_no_layer_is_frozen_again() -> None:
    for num_stages in range(6):
        lowest = [0 if low is None else low for low in stages(num_stages, list(range(12)))]
        assert lowest == sorted(lowest, reverse=True)


def test_layers_that_are_adapted_here_and_there_open_one_by_one() -> None:
    assert stages(3, [1, 5, 9]) == [12, 9, 5, None, None, None]


def test_beside_a_head_without_weights_the_top_layers_begin() -> None:
    assert stages(2, [6, 7, 8, 9, 10, 11], bare=True) == [10, 8, None, None, None, None]


def test_one_adapted_layer_waits_for_the_head() -> None:
    assert stages(2, [11])[:3] == [12, 12, None]


def steps(trainer_env: TrainerEnv, kind: type[Any]) -> list[Any]:
    assert isinstance(trainer_env.port, FakeEngine)
    return [step for step in trainer_env.port.steps if isinstance(step, kind)]


def test_a_job_unfreezes_by_epoch_and_fills_what_each_stage_starts_with(
    trainer_env: TrainerEnv,
) -> None:
    settings = {"unfreeze": 2, "epochs": 4, "batch_rows": 16, "layers": 2, "patience": 9}
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows(60)), settings=settings))
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
    lowest = [step.frozen_below for step in steps(trainer_env, Train)]
    num = len(lowest) // 4
    assert lowest == [2] * num + [1] * num + [None] * 2 * num
    stages = [step.frozen_below for step in steps(trainer_env, Fill)]
    assert [each for each in stages if each is not None] == [2, 1]


def test_a_run_is_not_ended_by_patience_before_all_is_unfrozen(trainer_env: TrainerEnv) -> None:
    settings = {"unfreeze": 3, "epochs": 9, "patience": 1, "learning_rate": 1e-8}
    rows = [row | {"label": ["glad", "sad"][i % 2]} for i, row in enumerate(value_rows(60))]
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(rows), settings=settings))
    assert trainer_env.trainer.run_once()
    assert len(trainer_env.trainer.get(TENANT, job.id).result["epochs"]) >= 4


def test_an_epoch_with_frozen_layers_is_never_the_one_kept(trainer_env: TrainerEnv) -> None:
    settings = {"unfreeze": 3, "epochs": 9, "patience": 1, "learning_rate": 1e-8}
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows(60)), settings=settings))
    assert trainer_env.trainer.run_once()
    epochs = trainer_env.trainer.get(TENANT, job.id).result["epochs"]
    assert [epoch["number"] for epoch in epochs if epoch["best"]][:1] == [4]


@pytest.mark.parametrize(
    ("given", "settings", "sentence"),
    [
        (
            {},
            {"unfreeze": 2, "epochs": 2},
            "unfreeze is 2; epochs is 2, and at least one epoch must",
        ),
        ({"kind": "head_only"}, {"unfreeze": 1}, "the kind head_only adapts no layer"),
        (
            {"head": "embed"},
            {"unfreeze": 1, "layers": 1},
            "embed has no weights and only one layer",
        ),
    ],
)
def test_an_unfreezing_that_cannot_be_is_refused(
    given: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    parsed = TrainingSettings.parse(settings)
    spec = JobSpec(tenant="t", task="t", file_id="f", settings=parsed, **given)
    with pytest.raises(BadSetting, match=sentence):
        check_recipe(spec, fake_info())


def test_layers_that_cannot_be_run_apart_are_not_unfrozen_one_by_one() -> None:
    info = msgspec.structs.replace(fake_info(), ranged=False)
    settings = TrainingSettings(unfreeze=1)
    with pytest.raises(BadSetting, match="cannot be run separately"):
        check_recipe(JobSpec(tenant="t", task="t", file_id="f", settings=settings), info)
