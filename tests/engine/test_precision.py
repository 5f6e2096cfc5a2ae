"""Precision and threads: what is asked for is obeyed, what is chosen is explained."""

from __future__ import annotations

import os

import pytest
import torch

from engine.config import EngineConfig
from engine.errors import NoDevice
from engine.model.precision import choose_device, choose_precision
from engine.model.threads import physical_cores, set_threads

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_explicit_dtype_is_obeyed(dtype: str) -> None:
    numerics = choose_precision(dtype, CPU, 32)
    assert (numerics.name, numerics.reason) == (dtype, "as configured")


def test_auto_picks_one_and_says_why() -> None:
    numerics = choose_precision("auto", CPU, 32)
    assert numerics.dtype in (torch.float32, torch.bfloat16)
    assert "the speed of float32 here" in numerics.reason


def test_an_unknown_dtype_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="dtype is 'half'; it must be one of auto, bfloat16"):
        EngineConfig(base="x", dtype="half")


def test_an_unknown_device_is_refused_with_the_known_forms() -> None:
    with pytest.raises(ValueError, match="device is 'gpu'; it must be auto, cpu or cuda:N"):
        EngineConfig(base="x", device="gpu")


@pytest.mark.parametrize(
    ("setting", "num_devices", "chosen"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cpu", 2, "cpu"), ("cuda:1", 2, "cuda:1")],
)
def test_the_device_is_what_was_asked_for_or_else_the_first_one(
    monkeypatch: pytest.MonkeyPatch, setting: str, num_devices: int, chosen: str
) -> None:
    _pretend(monkeypatch, num_devices)
    assert str(choose_device(setting)) == chosen


@pytest.mark.parametrize(
    ("num_devices", "there"),
    [(0, "no CUDA device"), (1, "cuda:0 alone"), (3, "cuda:0 to cuda:2")],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, num_devices: int, there: str
) -> None:
    _pretend(monkeypatch, num_devices)
    with pytest.raises(NoDevice, match=f"device is cuda:3; this process can use {there}"):
        choose_device("cuda:3")


def _pretend(monkeypatch: pytest.MonkeyPatch, num_devices: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: num_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_devices)


def test_an_engine_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="num_slots is 0"):
        EngineConfig(base="x", num_slots=0)


def test_there_is_a_core_and_never_more_than_the_processors_allowed() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_threads_are_set_as_asked_and_reported() -> None:
    before = torch.get_num_threads()
    try:
        assert set_threads(1) == torch.get_num_threads() == 1
        assert set_threads(None) == torch.get_num_threads() == physical_cores()
    finally:
        torch.set_num_threads(before)
