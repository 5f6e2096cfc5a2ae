"""A last layer that ends with the tokens that are read answers what the whole one answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import port
from engine.families import FAMILIES
from engine.model.kept_tokens import KeptTokens
from tests.contracts.cases import VARIANTS, Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest

MakeEngine = Callable[..., EngineUnderTest]
Counted = list[int]
KEEPING = [name for name, family in FAMILIES.items() if family.attention_reads]
#: heads that read the first token, the last one, the mean of all and each
READINGS = [("classify", "native"), ("classify", "last"), ("embed", "mean"), ("tag", "native")]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """How many tokens were kept, by forward that left some out."""
    counts: Counted = []
    only = KeptTokens.only

    def count(self: KeptTokens, index_K: Any) -> Any:
        counts.append(len(index_K))
        return only(self, index_K)

    monkeypatch.setattr(KeptTokens, "only", count)
    return counts


def assert_equal_whole(
    under_test: EngineUnderTest, monkeypatch: pytest.MonkeyPatch, rows: list[Any]
) -> None:
    kept = under_test.answers(rows)
    monkeypatch.setattr(under_test.base, "kept_tokens", None)
    for answer, whole in zip(kept, under_test.answers(rows), strict=True):
        np.testing.assert_allclose(answer, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", KEEPING)
@pytest.mark.parametrize("variant", VARIANTS)
def test_answers_of_a_mixed_batch_are_those_of_the_whole_one(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, counted: Counted, family: str,
    variant: str,
) -> None:  # fmt: skip
    under_test = make_engine(family)
    digests = [
        under_test.load(under_test.adapter(Case(family, variant, head, pooling), seed))
        for seed, (head, pooling) in enumerate(READINGS)
    ]
    rows = list(zip(ROWS, [*digests, None], strict=True))
    assert_equal_whole(under_test, monkeypatch, rows)
    assert len(counted) <= 1


@pytest.mark.parametrize("family", KEEPING)
def test_every_row_keeps_what_its_own_head_reads(
    make_engine: MakeEngine, counted: Counted, family: str
) -> None:
    under_test = make_engine(family)
    digests = [
        under_test.load(under_test.adapter(Case(family, "lora", head, pooling)))
        for head, pooling in READINGS
    ]
    under_test.answers(list(zip(ROWS, [*digests, None], strict=True)))
    assert counted == [2 + sum(map(len, ROWS[2:]))]


@pytest.mark.parametrize("pooling", ["first", "cls", "last"])
def test_a_bare_row_keeps_what_its_pooling_reads(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, counted: Counted, pooling: str
) -> None:  # fmt: skip
    under_test = make_engine("bert")
    step = port.Predict(rows=[port.Row.of(ids=ids, pooling=pooling) for ids in ROWS], place={})
    kept = [answer.numpy() for answer in under_test.ask(step).rows]
    assert counted == [len(ROWS)]
    monkeypatch.setattr(under_test.base, "kept_tokens", None)
    whole = [answer.numpy() for answer in under_test.ask(step).rows]
    np.testing.assert_allclose(kept, whole, atol=1e-5, rtol=1e-5)


def test_where_all_tokens_are_read_all_go_on(make_engine: MakeEngine, counted: Counted) -> None:
    under_test = make_engine("bert")
    digest = under_test.load(under_test.adapter(Case("bert", "lora", "tag", "native")))
    under_test.answers([(ROWS[0], digest), (ROWS[1], None)])
    assert counted == []


@pytest.mark.parametrize("family", KEEPING)
@pytest.mark.parametrize("variant", ["lora", "dora", "lora-biases", "bottleneck", "ia3"])
@pytest.mark.parametrize("pooling", ["native", "last"])
def test_losses_are_those_of_the_whole_step(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, family: str, variant: str,
    pooling: str,
) -> None:  # fmt: skip
    under_test, case = make_engine(family), Case(family, variant, "classify", pooling)
    few = losses(under_test, case)
    monkeypatch.setattr(under_test.base, "kept_tokens", None)
    assert few == pytest.approx(losses(under_test, case), rel=1e-4)


def losses(under_test: EngineUnderTest, case: Case) -> list[float]:
    return under_test.train(case, under_test.open(case), steps=3)
