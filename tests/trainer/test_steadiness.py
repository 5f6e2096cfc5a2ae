"""Divergence, told from hard batches by what is usual."""

from __future__ import annotations

import json
from dataclasses import asdict

from trainer.training.divergence import MAX_WILD, MIN_STEPS, WINDOW, DivergenceDetector


def after(losses: list[float], norms: list[float] | None = None) -> DivergenceDetector:
    state = DivergenceDetector()
    for loss, norm in zip(losses, norms or [1.0] * len(losses), strict=True):
        state = state.after(loss, norm)
    return state


def test_a_loss_that_falls_is_steady() -> None:
    assert not after([2.0 / (step + 1) for step in range(100)]).is_lost


def test_a_loss_far_above_the_usual_for_several_steps_is_lost() -> None:
    assert not after([1.0] * 20 + [9.0] * (MAX_WILD - 1)).is_lost
    assert after([1.0] * 20 + [9.0] * MAX_WILD).is_lost


def test_a_gradient_far_above_the_usual_is_lost_too() -> None:
    num = 20 + MAX_WILD
    assert after([1.0] * num, [1.0] * 20 + [500.0] * MAX_WILD).is_lost


def test_one_calm_step_begins_the_count_anew() -> None:
    assert not after([1.0] * 20 + [9.0] * (MAX_WILD - 1) + [1.0] + [9.0]).is_lost


def test_wild_steps_do_not_become_the_usual() -> None:
    state = after([1.0] * WINDOW + [9.0] * 3)
    assert {loss for loss, _ in state.calm} == {1.0}


def test_a_small_loss_late_in_a_run_that_meets_hard_batches_is_steady() -> None:
    assert not after([1.0] * 20 + [0.001] * 40 + [0.9] * 10).is_lost


def test_the_first_steps_have_nothing_to_be_compared_with() -> None:
    assert not after([100.0**step for step in range(MIN_STEPS)]).is_lost


def test_it_is_read_back_as_it_was_stored() -> None:
    state = after([1.0] * 20 + [9.0] * 2)
    assert DivergenceDetector.from_json(json.loads(json.dumps(asdict(state)))) == state
