"""A step whose last layer ends with each row's first token learns what the whole step learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.model.first_tokens import FirstTokens
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import EngineUnderTest

MakeBench = Callable[..., EngineUnderTest]
FAMILIES = ("bert", "roberta", "electra")


def losses(under_test: EngineUnderTest, case: Case) -> list[float]:
    return under_test.train(case, under_test.open(case), steps=6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", ["lora", "dora", "lora-biases"])
@pytest.mark.parametrize("pooling", ["native", "cls"])
def test_its_losses_are_those_of_the_whole_step(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, family: str, variant: str, pooling: str
) -> None:
    under_test, case = make_engine(family), Case(family, variant, "classify", pooling)
    few = losses(under_test, case)
    monkeypatch.setattr(under_test.engine._base, "first_tokens", None)
    assert few == pytest.approx(losses(under_test, case), rel=1e-4)


@pytest.mark.parametrize(
    ("variant", "head", "pooling", "narrows"),
    [
        ("lora", "classify", "native", True),
        ("lora", "classify", "mean", False),
        ("lora", "tag", "native", False),
        ("bottleneck", "classify", "native", False),
    ],
)
def test_only_where_no_other_token_is_read(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, variant: str, head: str, pooling: str,
    narrows: bool,
) -> None:  # fmt: skip
    narrowed: list[Any] = []
    only = FirstTokens.only
    monkeypatch.setattr(
        FirstTokens, "only", lambda self, batch: narrowed.append(batch) or only(self, batch)
    )
    under_test, case = make_engine("bert"), Case("bert", variant, head, pooling)
    under_test.train(case, under_test.open(case), steps=1)
    assert bool(narrowed) == narrows
