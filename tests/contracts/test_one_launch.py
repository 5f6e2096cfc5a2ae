"""Every base answers and learns the same where all its rows attend in one launch, as on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.contracts.cases import Case
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.test_rows import FAMILIES, mixed_rows
from tests.engine.varlen_oracle import attend_looped

MakeEngine = Callable[..., EngineUnderTest]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_answers_the_same_in_one_launch(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    under_test = make_engine(family)
    rows = mixed_rows(under_test, family)
    by_runs = under_test.answers(rows)
    kernel = attend_looped(monkeypatch)
    for ours, theirs in zip(under_test.answers(rows), by_runs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (kernel.num_calls > 0) == under_test.base.packed


@pytest.mark.parametrize("family", ["bert", "llama", "modernbert"])
def test_training_learns_the_same_in_one_launch(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    case = next(
        Case(family, "lora", "classify", pooling)
        for pooling in make_engine(family).engine.info.poolings["classify"]
    )
    under_test = make_engine(family)
    by_runs = under_test.train(case, under_test.open(case), steps=3)
    kernel = attend_looped(monkeypatch)
    in_one_launch = under_test.train(case, under_test.open(case), steps=3)
    np.testing.assert_allclose(in_one_launch, by_runs, rtol=1e-4)
    assert kernel.num_calls > 0
