"""The tables are complete: what is listed is found, and tested."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn
from transformers.pytorch_utils import Conv1D

from engine.errors import BadAdapter, BadBase
from engine.families import FAMILIES, family_of
from engine.heads import find_head
from engine.kinds import KINDS
from tests.contracts.cases import VARIANTS
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES, SEQ2SEQ


def test_every_family_has_a_tiny_base_to_be_tested_on() -> None:
    assert set(BASES) | set(SEQ2SEQ) == set(FAMILIES)


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _ in VARIANTS.values()} == set(KINDS)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_linear_of_every_layer_is_a_site(
    make_engine: Callable[..., EngineUnderTest], family: str
) -> None:
    base = make_engine(family).base
    modules = [m for s in base.family.stacks for m in base.model.get_submodule(s).modules()]
    assert len(base.sites) == sum(isinstance(m, nn.Linear | Conv1D) for m in modules)
    assert {site.layer for site in base.sites.values()} == set(range(base.num_layers))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_named_sublayer_exists_in_every_layer(
    make_engine: Callable[..., EngineUnderTest], family: str
) -> None:
    base = make_engine(family).base
    assert len(base.sublayers) == len(FAMILIES[family].sublayers) * base.num_layers


def test_an_unknown_model_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadBase, match="'mamba' model; this engine serves bert, roberta"):
        family_of("mamba")


def test_an_unknown_head_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadAdapter, match="'poet'; this engine knows classify, tag, regress, span"):
        find_head({"kind": "poet"})


@pytest.mark.parametrize("family", sorted(BASES))
def test_the_norm_of_a_branch_runs_on_the_side_the_table_says(
    make_engine: Callable[..., EngineUnderTest], family: str
) -> None:
    under_test = make_engine(family)
    branch, layer = under_test.base.family.sublayers["feed_forward"], under_test.base.layer_paths[0]
    seen: list[str] = []
    handles = [
        under_test.base.model.get_submodule(path.format(layer=layer)).register_forward_hook(
            lambda *_, name=name: seen.append(name)
        )
        for name, path in (("norm", branch.norm), ("output", branch.output))
    ]
    under_test.answers([(ROWS[0], None)])
    for handle in handles:
        handle.remove()
    first = "norm" if under_test.base.family.norm_first else "output"
    assert seen[0] == first
