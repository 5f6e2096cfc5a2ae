"""A row's answer is its own: whatever stands beside it, however the batch is laid out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import AutoModel

from engine import port
from tests.contracts.cases import VARIANTS, Case, all_cases, params
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES, VOCABULARY

FAMILIES = sorted(BASES)
MakeBench = Callable[..., EngineUnderTest]


def mixed_rows(make_engine: EngineUnderTest, family: str) -> list[tuple[list[int], str | None]]:
    """Rows of every kind and head of the family, of several ranks, and of the bare base, mixed."""
    cases = mixed_cases(family)
    digests = [
        make_engine.load(make_engine.adapter(c, seed=i, **_size(c, i))) for i, c in enumerate(cases)
    ]
    return [(ids, d) for i, ids in enumerate(ROWS) for d in [*digests[i % 2 :: 2], None]]


def mixed_cases(family: str) -> list[Case]:
    """Every variant and every head at least once."""
    heads = list(dict.fromkeys((c.head, c.pooling) for c in all_cases() if c.family == family))
    names = list(VARIANTS)
    return [
        Case(family, names[i % len(names)], *heads[i % len(heads)])
        for i in range(max(len(names), len(heads)))
    ]


def _size(case: Case, number: int) -> dict[str, int]:
    return {"rank": 2 + number % 7} if case.kind == "lora" else {}


@pytest.mark.survival("D6")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_equals_each_row_alone(make_engine: MakeBench, family: str) -> None:
    under_test = make_engine(family)
    rows = mixed_rows(under_test, family)
    for row, answer in zip(rows, under_test.answers(rows), strict=True):
        np.testing.assert_allclose(answer, under_test.answers([row])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_in_bfloat16_stays_near_each_row_alone(
    make_engine: MakeBench, family: str
) -> None:
    under_test = make_engine(family, dtype="bfloat16")
    rows = mixed_rows(under_test, family)
    for row, answer in zip(rows, under_test.answers(rows), strict=True):
        alone = under_test.answers([row])[0]
        assert np.abs(answer - alone).max() <= 0.05 * max(1.0, float(np.abs(alone).max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_equal_padded_rows(make_engine: MakeBench, family: str) -> None:
    packed, padded = make_engine(family), make_engine(family, packed=False)
    first = packed.answers(mixed_rows(packed, family))
    second = padded.answers(mixed_rows(padded, family))
    for ours, oracle in zip(first, second, strict=True):
        np.testing.assert_allclose(ours, oracle, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_slot_0_is_the_untouched_stock_model(
    make_engine: MakeBench, base_folder: Callable[[str], object], family: str
) -> None:
    stock = AutoModel.from_pretrained(base_folder(family), attn_implementation="eager").eval()
    assert stock.config._attn_implementation == "eager"
    under_test = make_engine(family)
    rows = mixed_rows(under_test, family)  # adapters of other rows must leave the bare ones alone
    answers = [
        (r[0], a) for r, a in zip(rows, under_test.answers(rows), strict=True) if r[1] is None
    ]
    assert len(answers) == len(ROWS)
    for ids, answer in answers:
        with torch.inference_mode():
            oracle = stock(input_ids=torch.tensor([ids])).last_hidden_state[0]
        np.testing.assert_allclose(answer, oracle.numpy(), atol=1e-5)


@pytest.mark.survival("A7", "D5")
@pytest.mark.parametrize("case", params())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_hostile_finite_weights_beside_a_row_change_no_bit_of_it(
    make_engine: MakeBench, case: Case, dtype: str
) -> None:
    under_test = make_engine(case.family, dtype=dtype)
    mine = under_test.load(under_test.adapter(case, seed=1))
    tame = under_test.adapter(case, seed=2)
    hostile = under_test.adapter(case, seed=2)
    for parts in hostile.weights.values() or [hostile.head_weights]:
        for name, tensor in parts.items():
            # a DoRA whose norm overflows is refused when it loads
            tensor.fill_(1e8 if case.variant == "dora" and name != "magnitude" else 5e37)
    tame_digest, hostile_digest = under_test.load(tame), under_test.load(hostile)
    beside_tame = under_test.predict([(ROWS[0], mine), (ROWS[1], tame_digest), (ROWS[2], mine)])
    beside_hostile = under_test.predict(
        [(ROWS[0], mine), (ROWS[1], hostile_digest), (ROWS[2], mine)]
    )
    np.testing.assert_array_equal(beside_tame[0], beside_hostile[0])
    np.testing.assert_array_equal(beside_tame[2], beside_hostile[2])
    if case.kind in ("lora", "bottleneck"):  # a norm may turn what only grows into zero
        assert beside_hostile[1].code == "non_finite_result"


@pytest.mark.parametrize("family", FAMILIES)
def test_in_exact_mode_a_row_in_a_batch_is_bit_equal_to_itself_alone(
    make_engine: MakeBench, family: str
) -> None:
    under_test = make_engine(family, exact=True)
    rows = mixed_rows(under_test, family)
    for row, answer in zip(rows, under_test.answers(rows), strict=True):
        np.testing.assert_array_equal(answer, under_test.answers([row])[0])


@pytest.mark.survival("C8", "D5")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "bad",
    [[], [0, VOCABULARY, 2], [0, -1, 2], [5] * 65],
    ids=["empty", "vocabulary", "negative", "long"],
)
def test_a_row_that_cannot_be_computed_fails_alone(
    make_engine: MakeBench, family: str, bad: list[int]
) -> None:
    under_test = make_engine(family)
    results = under_test.predict([(ROWS[0], None), (bad, None), (ROWS[1], None)])
    assert isinstance(results[1], port.Failure)
    assert results[1].code == "bad_row"
    np.testing.assert_array_equal(
        results[0], under_test.answers([(ROWS[0], None), (ROWS[1], None)])[0]
    )


@pytest.mark.survival("C9")
def test_a_row_that_makes_the_model_code_raise_fails_alone(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    stock = type(under_test.base).forward

    def raising(self: object, batch: object) -> object:
        if 66 in batch.ids:  # type: ignore[attr-defined]
            raise RuntimeError("a kernel refused")
        return stock(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(type(under_test.base), "forward", raising)
    results = under_test.predict(
        [(ROWS[0], None), ([0, 66, 2], None), (ROWS[1], None), (ROWS[2], None)]
    )
    assert [isinstance(r, port.Failure) for r in results] == [False, True, False, False]
