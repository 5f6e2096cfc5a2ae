"""What the machine lacks is told as such, and no row is to blame for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from tests.contracts.author import Author
from tests.contracts.bench import ROWS, Bench

MakeBench = Callable[..., Bench]


@pytest.mark.parametrize(
    ("error", "code"),
    [(torch.OutOfMemoryError("no room"), "out_of_memory"), (ValueError("odd"), "bad_row")],
    ids=["memory", "row"],
)
def test_a_row_is_not_to_blame_where_memory_runs_out(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    table = bench("llama")
    reader: Any = table.engine._writing._reader
    monkeypatch.setattr(reader, "read", Mock(side_effect=error))
    author = Author(table, {})
    key = author.begin(ROWS[0], None, 3)
    author.step()
    assert author.failures[key].code == code


def test_a_lost_device_ends_the_engine_and_fails_no_row(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bench("llama")
    reader: Any = table.engine._writing._reader
    lost = RuntimeError("CUDA error: unspecified launch failure")
    monkeypatch.setattr(reader, "read", Mock(side_effect=lost))
    author = Author(table, {})
    author.begin(ROWS[0], None, 3)
    with pytest.raises(RuntimeError, match="CUDA error"):
        author.step()
    table.engine._writing.release([100])


def test_a_lost_device_ends_the_engine_and_fails_no_row_that_is_predicted(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bench("bert")
    lost = RuntimeError("CUDA error: unspecified launch failure")
    monkeypatch.setattr("engine.forward.predict._forward", Mock(side_effect=lost))
    with pytest.raises(RuntimeError, match="CUDA error"):
        table.predict([(ROWS[0], None)])


def test_a_predicted_row_is_not_to_blame_where_memory_runs_out(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bench("bert")
    full = torch.OutOfMemoryError("no room")
    monkeypatch.setattr("engine.forward.predict._forward", Mock(side_effect=full))
    (answer,) = table.predict([(ROWS[0], None)])
    assert getattr(answer, "code", None) == "out_of_memory"
