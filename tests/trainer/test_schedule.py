"""Learning rates and the time that is left."""

from __future__ import annotations

import pytest

from tests.trainer.build import Clock
from trainer.pace import Pace
from trainer.schedule import Schedule, learning_rate_warning


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    schedule = Schedule(peak=1.0, num_steps=10, warmup_share=0.2)
    rates = [schedule.rate(step) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 8)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert Schedule(peak=2.0, num_steps=4, warmup_share=0.0).rate(0) == 2.0


def test_a_rate_outside_the_usual_range_is_warned_about() -> None:
    assert learning_rate_warning(1e-3) is None
    assert "0.5" in (learning_rate_warning(0.5) or "")
    assert learning_rate_warning(1e-6) is not None


def test_the_time_left_counts_steps_and_evaluations_alike() -> None:
    clock = Clock()
    pace = Pace(num_steps=4, num_evaluations=2, clock=clock)
    assert (pace.share, pace.eta_s) == (0.0, None)
    for _ in range(2):
        clock.now += 3
        pace.stepped()
    clock.now += 10
    pace.evaluated()
    assert (pace.share, pace.eta_s) == (0.5, pytest.approx(2 * 3 + 10))
