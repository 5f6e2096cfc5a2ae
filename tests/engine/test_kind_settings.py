"""The declared settings of kinds, against what the engine computes."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from engine.kind_settings import KIND_SETTINGS, BottleneckSettings, LoraSettings
from engine.kinds import KINDS
from engine.kinds.bottleneck import _ACTIVATIONS, _VARIANTS


def test_every_kind_declares_its_settings() -> None:
    assert list(KIND_SETTINGS) == list(KINDS)


@pytest.mark.parametrize(
    ("name", "computed"), [("variant", _VARIANTS), ("activation", _ACTIVATIONS)]
)
def test_a_bottlenecks_choices_are_those_the_engine_computes(
    name: str, computed: dict[str, Any]
) -> None:
    choices, _ = get_args(BottleneckSettings.model_fields[name].annotation)
    assert set(get_args(choices)) == set(computed)


@pytest.mark.parametrize("kind", KIND_SETTINGS)
def test_every_setting_has_a_default_and_a_help_text(kind: str) -> None:
    for field in KIND_SETTINGS[kind].model_fields.values():
        assert not field.is_required()
        assert field.description


@pytest.mark.parametrize("kind", KIND_SETTINGS)
def test_a_kind_usually_learns_at_its_default_rate(kind: str) -> None:
    low, high = KIND_SETTINGS[kind].usual_learning_rates
    assert low <= KIND_SETTINGS[kind].default_learning_rate <= high


@pytest.mark.parametrize("kind", KIND_SETTINGS)
def test_a_search_tries_only_values_that_the_setting_takes(kind: str) -> None:
    settings = KIND_SETTINGS[kind]
    for name, values in settings().search_space(hidden_size=64).items():
        for value in values:
            settings(**{name: value})


def test_ranks_are_not_searched_beside_ranks_of_single_modules() -> None:
    chosen = LoraSettings(rank_pattern={"query": 4})
    assert chosen.search_space(hidden_size=64) == {}


def test_a_search_tries_no_reduction_beyond_the_bases_width() -> None:
    assert BottleneckSettings().search_space(hidden_size=16) == {"reduction": [8, 16]}


def test_a_value_out_of_range_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError, match="rank"):
        LoraSettings(rank=300)
