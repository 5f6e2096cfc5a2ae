"""Learning rates: their shapes, and which are sane for what."""

from __future__ import annotations

from itertools import pairwise

import pytest

from engine.kind_settings import KIND_SETTINGS
from trainer.settings.schedule import Schedule, learning_rate_warning


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    schedule = Schedule(peak=1.0, num_steps=10, warmup_share=0.2)
    rates = [schedule.rate(step) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 8)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert Schedule(peak=2.0, num_steps=4, warmup_share=0.0).rate(0) == 2.0


def test_a_cosine_falls_slowly_at_both_ends() -> None:
    schedule = Schedule(peak=2.0, num_steps=8, warmup_share=0.0, shape="cosine")
    rates = [schedule.rate(step) for step in range(9)]
    assert rates[0] == 2.0
    assert rates[4] == pytest.approx(1.0)
    assert rates[8] == pytest.approx(0.0)
    falls = [a - b for a, b in pairwise(rates)]
    assert falls[0] < falls[3] > falls[7]


def test_a_constant_rate_rises_and_stays() -> None:
    schedule = Schedule(peak=1.0, num_steps=10, warmup_share=0.3, shape="constant")
    assert [schedule.rate(step) for step in (2, 3, 9)] == [1.0, 1.0, 1.0]
    assert schedule.rate(0) == pytest.approx(1 / 3)


@pytest.mark.parametrize("kind", sorted(KIND_SETTINGS))
def test_a_kind_s_own_rate_is_not_warned_about(kind: str) -> None:
    assert learning_rate_warning(kind, KIND_SETTINGS[kind].default_learning_rate) is None


def test_a_rate_outside_the_usual_range_is_warned_about() -> None:
    assert "0.5 is above the usual range: lora usually" in (
        learning_rate_warning("lora", 0.5) or ""
    )
    assert "1e-06 is below the usual range" in (learning_rate_warning("lora", 1e-6) or "")


def test_a_rate_of_full_fine_tuning_is_called_that() -> None:
    warning = learning_rate_warning("lora", 2e-5) or ""
    assert "2e-05 belongs to full fine-tuning (1e-05 to 5e-05)" in warning
    assert "lora usually learns with 0.0001 to 0.01" in warning
