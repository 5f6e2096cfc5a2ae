"""Mixed batches are answered alike whichever body multiplies: of every kind, in both precisions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.ops.grouped_product import GatheredProduct, PlainProduct
from tests.contracts.cases import VARIANTS, Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest

MakeEngine = Callable[..., EngineUnderTest]
TOLERANCE = {"float32": 1e-5, "bfloat16": 3e-2}


@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_body_answers_a_mixed_batch_alike(
    make_engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    family: str,
    dtype: str,
) -> None:
    under_test = make_engine(family, dtype=dtype)
    cases = [Case(family, each, "classify", "native") for each in (variant, "lora", variant)]
    digests = [
        under_test.load(under_test.adapter(case, seed=seed)) for seed, case in enumerate(cases)
    ]
    rows = [(ids, digest) for ids in ROWS[:3] for digest in (*digests, None)]
    pool = under_test.engine._resident._pool
    expected = under_test.answers(rows)
    scale = max(np.abs(row).max() for row in expected)
    for body in (PlainProduct(), GatheredProduct()):
        monkeypatch.setattr(pool, "product", body)
        for ours, theirs in zip(under_test.answers(rows), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=TOLERANCE[dtype] * max(1.0, scale))
