"""What the machine lacks is told as such, and no row is to blame for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.generator import StepGenerator

MakeBench = Callable[..., EngineUnderTest]


@pytest.mark.parametrize(
    ("error", "code"),
    [(torch.OutOfMemoryError("no room"), "out_of_memory"), (ValueError("odd"), "bad_row")],
    ids=["memory", "row"],
)
def test_a_row_is_not_to_blame_where_memory_runs_out(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    under_test = make_engine("llama")
    runner: Any = under_test.engine._generation._runner
    monkeypatch.setattr(runner, "run", Mock(side_effect=error))
    author = StepGenerator(under_test, {})
    key = author.begin(ROWS[0], None, 3)
    author.step()
    assert author.failures[key].code == code


def test_a_lost_device_ends_the_engine_and_fails_no_row(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("llama")
    runner: Any = under_test.engine._generation._runner
    lost = RuntimeError("CUDA error: unspecified launch failure")
    monkeypatch.setattr(runner, "run", Mock(side_effect=lost))
    author = StepGenerator(under_test, {})
    author.begin(ROWS[0], None, 3)
    with pytest.raises(RuntimeError, match="CUDA error"):
        author.step()
    under_test.engine._generation.release([100])


def test_a_lost_device_ends_the_engine_and_fails_no_row_that_is_predicted(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    lost = RuntimeError("CUDA error: unspecified launch failure")
    monkeypatch.setattr("engine.forward.predict._forward", Mock(side_effect=lost))
    with pytest.raises(RuntimeError, match="CUDA error"):
        under_test.predict([(ROWS[0], None)])


def test_a_predicted_row_is_not_to_blame_where_memory_runs_out(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    full = torch.OutOfMemoryError("no room")
    monkeypatch.setattr("engine.forward.predict._forward", Mock(side_effect=full))
    (answer,) = under_test.predict([(ROWS[0], None)])
    assert getattr(answer, "code", None) == "out_of_memory"
