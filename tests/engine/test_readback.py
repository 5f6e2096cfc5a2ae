"""Results of a batch come back in their own shapes, and only a row that is not finite fails."""

from __future__ import annotations

import numpy as np
import torch

from engine import port
from engine.errors import NonFiniteResult
from engine.forward.readback import read_back

MAX = torch.finfo(torch.float32).max


def test_results_of_several_shapes_and_precisions_come_back_as_they_were() -> None:
    results = [torch.randn(3), torch.randn(2, 4, dtype=torch.bfloat16), torch.randn(4, 2).T]
    for result, answer in zip(results, read_back(results), strict=True):
        assert isinstance(answer, port.Array)
        np.testing.assert_array_equal(answer.numpy(), result.float().numpy())


def test_only_the_row_that_is_not_finite_fails() -> None:
    nan, infinite = float("nan"), float("inf")
    results = [torch.tensor(row) for row in ([1.0, 2.0], [0.0, nan], [infinite, -infinite], [3.0])]
    first, second, third, fourth = read_back(results)
    assert isinstance(first, port.Array)
    assert isinstance(fourth, port.Array)
    for answer in (second, third):
        assert isinstance(answer, port.Failure)
        assert answer.code == NonFiniteResult.code


def test_the_largest_numbers_are_finite() -> None:
    answers = read_back([torch.full((5,), MAX), torch.full((5,), MAX)])
    assert all(isinstance(answer, port.Array) for answer in answers)
