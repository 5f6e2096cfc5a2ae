"""Rows of one text share the layers below their adapters, and answer as if they did not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.forward import shared_trunk
from engine.forward.shared_trunk import find_trunk
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]
Rows = list[tuple[list[int], str | None]]


def adapters(under_test: EngineUnderTest, family: str, layers: list[int]) -> list[str]:
    """One version each whose adapter sits in the topmost so many layers."""
    kinds = ("lora", "bottleneck")
    cases = [Case(family, kinds[i % 2], "classify", "mean") for i in range(len(layers))]
    return [
        under_test.load(under_test.adapter(case, seed=i, layers=count))
        for i, (case, count) in enumerate(zip(cases, layers, strict=True))
    ]


def one_text_and_others(under_test: EngineUnderTest, family: str) -> Rows:
    """A text through adapters of several depths and the bare base, beside rows of their own."""
    layers = under_test.base.num_layers
    top, two, every = adapters(under_test, family, [1, min(2, layers), layers])
    many: Rows = [(ROWS[2], digest) for digest in (top, two, every, None, top)]
    return [*many, (ROWS[0], every), (ROWS[4], top), (ROWS[4], two), (ROWS[1], None)]


def spied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The depth of every trunk that is used."""
    depths: list[int] = []

    def finding(*args: object) -> shared_trunk.SharedTrunk | None:
        found = find_trunk(*args)  # type: ignore[arg-type]
        depths.append(found.depth if found else 0)
        return found

    monkeypatch.setattr(shared_trunk, "find_trunk", finding)
    return depths


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("family", sorted(BASES))
def test_rows_that_share_a_trunk_answer_as_each_does_alone(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, family: str, packed: bool
) -> None:
    under_test = make_engine(family, packed=packed)
    rows = one_text_and_others(under_test, family)
    alone = [under_test.answers([row])[0] for row in rows]
    depths = spied(monkeypatch)
    together = under_test.answers(rows)
    for ours, oracle in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, oracle, atol=1e-5, rtol=1e-5)
    assert (max(depths) > 0) == under_test.base.family.ranged


def test_the_trunk_ends_where_it_saves_most(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    low, *high = adapters(under_test, "bert", [2, 1, 1, 1])
    depths = spied(monkeypatch)
    under_test.answers([(ROWS[2], digest) for digest in [low, *high]])
    assert depths == [2]
    under_test.answers([(ROWS[2], low), (ROWS[2], high[0])])
    assert depths == [2, 1]


def test_a_second_adapter_in_every_layer_shares_nothing(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    digests = adapters(under_test, "bert", [3, 3])
    depths = spied(monkeypatch)
    under_test.answers([(ROWS[2], digest) for digest in digests])
    assert depths == [0]


def test_exact_mode_shares_nothing(make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    under_test = make_engine("bert", exact=True)
    digests = adapters(under_test, "bert", [1, 1, 1])
    depths = spied(monkeypatch)
    rows: Rows = [(ROWS[2], digest) for digest in digests]
    together = under_test.answers(rows)
    assert depths == [0, 0, 0]
    for row, answer in zip(rows, together, strict=True):
        np.testing.assert_array_equal(answer, under_test.answers([row])[0])
