"""The modules that a PEFT configuration targets, as PEFT finds them, and what the weights lack."""

from __future__ import annotations

import re
from typing import Any

import pytest

from engine.adapter_formats.targets import check_targets, peft_targets
from engine.errors import MissingTensors, PatternRefused
from engine.families.module_names import plain_name, resolve_pattern

SITES = [
    f"encoder.layer.{layer}.{name}"
    for layer in range(3)
    for name in ("attention.self.query", "attention.self.value", "output.dense")
]


def found(**config: Any) -> list[str] | None:
    targets = peft_targets(config, SITES, ["bert"])
    return None if targets.sites is None else sorted(targets.sites)


def named(*endings: str, layers: tuple[int, ...] = (0, 1, 2)) -> list[str]:
    return sorted(f"encoder.layer.{layer}.{name}" for layer in layers for name in endings)


def test_names_and_their_last_parts_are_found_in_every_layer() -> None:
    assert found(target_modules=["query"]) == named("attention.self.query")
    assert found(target_modules=["self.query", "dense"]) == named(
        "attention.self.query", "output.dense"
    )
    assert found(target_modules=["uery"]) == []


def test_a_whole_name_is_found_with_and_without_the_stock_models_prefix() -> None:
    for name in (SITES[0], f"bert.{SITES[0]}"):
        assert found(target_modules=[name]) == [SITES[0]]


@pytest.mark.parametrize("layers", [1, [1]])
def test_layers_to_transform_choose_among_them(layers: Any) -> None:
    assert found(target_modules=["query"], layers_to_transform=layers) == named(
        "attention.self.query", layers=(1,)
    )


@pytest.mark.parametrize("pattern", ["layer", ["layer"], None, []])
def test_a_layers_pattern_names_what_stands_before_the_number(pattern: Any) -> None:
    given = {"target_modules": ["query"], "layers_to_transform": [2], "layers_pattern": pattern}
    assert found(**given) == named("attention.self.query", layers=(2,))
    assert found(**{**given, "layers_pattern": ["block"]}) == []


def test_excluded_and_saved_modules_are_not_adapted() -> None:
    given = {"target_modules": ["query", "value"]}
    assert found(**given, exclude_modules=["value"]) == named("attention.self.query")
    assert found(**given, modules_to_save=["value", "classifier"]) == named("attention.self.query")


@pytest.mark.survival("A11")
@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": "(a+)+$"},
        {"target_modules": ["query"], "exclude_modules": "(a+)+$"},
        {"target_modules": ["query"], "layers_to_transform": [1], "layers_pattern": "(a+)+$"},
    ],
    ids=lambda config: "-".join(config),
)
def test_where_an_expression_decides_nothing_is_said_of_the_modules(config: dict[str, Any]) -> None:
    assert found(**config) is None


def test_modules_without_tensors_are_refused_with_both_sides_named() -> None:
    targets = peft_targets({"target_modules": ["query"]}, SITES, ["bert"])
    with pytest.raises(
        MissingTensors, match=r"target_modules query.* 3 modules.* 2 of them: encoder\.layer\.1"
    ):
        check_targets([SITES[0]], targets, SITES)


def test_tensors_of_modules_that_are_not_targeted_are_refused() -> None:
    targets = peft_targets({"target_modules": ["query"]}, SITES, ["bert"])
    with pytest.raises(MissingTensors, match=r"self\.value; adapter_config\.json names only"):
        check_targets([*named("attention.self.query"), SITES[1]], targets, SITES)


@pytest.mark.parametrize("config", [{"target_modules": ".*query"}, {}])
@pytest.mark.parametrize(
    ("adapted", "told"),
    [
        (named("attention.self.query"), None),
        (SITES, None),
        (named("attention.self.query", layers=(0, 1)), "2 of the 3 .* not encoder.layer.2.att"),
        ([*named("attention.self.query"), SITES[1]], "4 of the 6 .* not encoder.layer.1.att"),
        (named("attention.self.query", layers=(0, 2)), "2 of the 3 .* not encoder.layer.1.att"),
    ],
)
def test_where_nothing_is_compared_a_module_that_some_layers_lack_is_told(
    config: dict[str, Any], adapted: list[str], told: str | None
) -> None:
    said = check_targets(adapted, peft_targets(config, SITES, ["bert"]), SITES)
    assert (said is None) if told is None else re.search(told, said or "")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("query", "query"),
        ("^encoder.layer.0.attention.self.query", SITES[0]),
        (r"^encoder\.layer\.0\.attention\.self\.query$", SITES[0]),
        (r"layer\.\d+\.query", None),
        ("(a+)+$", None),
        ("", None),
    ],
)
def test_a_name_written_as_an_expression_is_a_name(key: str, name: str | None) -> None:
    assert plain_name(key) == name


@pytest.mark.survival("A11")
def test_a_number_that_an_expression_decides_is_refused_with_the_way_out() -> None:
    with pytest.raises(PatternRefused, match="write the names of the modules"):
        resolve_pattern("alpha_pattern", {"(a+)+$": 3}, SITES)
    assert resolve_pattern(
        "alpha_pattern", {r"^bert\.encoder\.layer\.0\.output\.dense": 3}, SITES
    ) == {"encoder.layer.0.output.dense": 3}
