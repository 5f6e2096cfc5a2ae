"""Presets: what they set, what they leave to the caller, and that every kind takes them. The share
of the layers that they set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from engine.kind_settings import KIND_SETTINGS
from engine.testing.fake_base import fake_info
from trainer.errors import BadSetting
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import JobSpec
from trainer.recipe.modules import find_layers
from trainer.recipe.preset_specs import describe_preset, with_preset
from trainer.recipe.recipe import check_recipe
from trainer.settings.presets import PRESETS, PresetName
from trainer.settings.settings import TrainingSettings


def test_a_preset_sets_what_is_not_named_beside_it() -> None:
    fast = TrainingSettings.parse({"preset": "fast", "rank": 4})
    assert (fast.layers, fast.rank) == ("half", 4)
    named = TrainingSettings.parse({"preset": "thorough", "seeds": 2})
    assert (named.seeds, named.average_seeds) == (2, True)


def test_the_balanced_preset_is_the_defaults() -> None:
    assert TrainingSettings.parse({"preset": "balanced"}) == TrainingSettings()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_refused_by_no_kind(preset: PresetName) -> None:
    settings = TrainingSettings.parse({"preset": preset})
    for kind in KIND_SETTINGS:
        check_recipe(
            JobSpec(tenant="t", task="t", file_id="f", kind=kind, settings=settings), fake_info()
        )


def test_averaging_needs_two_seeds() -> None:
    settings = TrainingSettings.parse({"average_seeds": True})
    spec = JobSpec(tenant="t", task="t", file_id="f", settings=settings, chosen=("average_seeds",))
    with pytest.raises(BadSetting, match="a mean needs at least two"):
        check_recipe(spec, fake_info())


@pytest.mark.parametrize(
    ("preset", "kind", "words"),
    [
        ("fast", "lora", "1 of 2 layers, 1 seed"),
        ("balanced", "lora", "2 of 2 layers, 1 seed"),
        ("thorough", "lora", "2 of 2 layers, 3 seeds, their mean where it is better on dev"),
        ("balanced", "head_only", "the head alone, 1 seed"),
    ],
)
def test_a_preset_is_described_by_what_it_trains(preset: str, kind: str, words: str) -> None:
    settings = TrainingSettings.parse({"preset": preset})
    spec = JobSpec(tenant="t", task="t", file_id="f", kind=kind, settings=settings)
    assert describe_preset(spec, fake_info()) == words


def test_a_job_of_a_release_without_presets_trains_the_layers_that_it_was_submitted_with() -> None:
    spec = JobSpec(tenant="t", task="t", file_id="f").to_json()
    stored = {**spec["settings"], "layers": None, "seeds": 3}
    del stored["preset"]
    old = spec_of({**spec, "settings": stored}, "t").settings
    assert (old.layers, old.seeds) == ("half", 3)
    assert TrainingSettings.parse({"preset": "fast", "layers": None}).layers == "half"
    assert TrainingSettings.parse({"layers": None}).layers == "all"


def test_another_preset_keeps_what_the_caller_named_and_has_enough_steps_of_its_own() -> None:
    settings = TrainingSettings.parse({"preset": "fast", "seeds": 2})
    spec = JobSpec(tenant="t", task="t", file_id="f", settings=settings, chosen=("preset", "seeds"))
    thorough = with_preset(spec, "thorough", 500).settings
    assert (thorough.preset, thorough.layers, thorough.average_seeds) == ("thorough", "all", True)
    assert (thorough.seeds, thorough.batch_rows) == (2, 8)
    assert with_preset(spec, "fast", 500).settings.batch_rows == 16
    alone = replace(spec, kind="head_only", settings=settings.model_copy(update={"epochs": 60}))
    assert with_preset(alone, "thorough", 500).settings.epochs == 60


@pytest.mark.parametrize(
    ("chosen", "layers"), [("all", (0, 1)), ("half", (1,)), (1, (1,)), ((0,), (0,))]
)
def test_layers_are_a_share_a_number_from_the_top_or_a_list(
    chosen: Any, layers: tuple[int, ...]
) -> None:
    assert find_layers(TrainingSettings(layers=chosen), fake_info()) == layers


def test_half_of_the_layers_are_all_where_a_base_cannot_be_run_in_parts() -> None:
    info = msgspec.structs.replace(fake_info(), ranged=False)
    assert find_layers(TrainingSettings(layers="half"), info) == (0, 1)
