"""Divergence, distinguished from hard batches by the usual loss and gradient norm."""

from __future__ import annotations

import json

from trainer.training.divergence import MAX_SPIKES, MIN_STEPS, WINDOW, DivergenceDetector


def after(losses: list[float], norms: list[float] | None = None) -> DivergenceDetector:
    state = DivergenceDetector()
    for loss, norm in zip(losses, norms or [1.0] * len(losses), strict=True):
        state = state.after(loss, norm)
    return state


def test_a_loss_that_falls_does_not_diverge() -> None:
    assert not after([2.0 / (step + 1) for step in range(100)]).diverged


def test_a_loss_far_above_the_usual_for_several_steps_diverged() -> None:
    assert not after([1.0] * 20 + [9.0] * (MAX_SPIKES - 1)).diverged
    assert after([1.0] * 20 + [9.0] * MAX_SPIKES).diverged


def test_a_gradient_far_above_the_usual_diverged_too() -> None:
    num = 20 + MAX_SPIKES
    assert after([1.0] * num, [1.0] * 20 + [500.0] * MAX_SPIKES).diverged


def test_one_stable_step_restarts_the_count() -> None:
    assert not after([1.0] * 20 + [9.0] * (MAX_SPIKES - 1) + [1.0] + [9.0]).diverged


def test_spikes_do_not_become_the_usual() -> None:
    state = after([1.0] * WINDOW + [9.0] * 3)
    assert {loss for loss, _ in state.stable} == {1.0}


def test_a_small_loss_late_in_a_run_that_meets_hard_batches_does_not_diverge() -> None:
    assert not after([1.0] * 20 + [0.001] * 40 + [0.9] * 10).diverged


def test_the_first_steps_have_nothing_to_be_compared_with() -> None:
    assert not after([100.0**step for step in range(MIN_STEPS)]).diverged


def test_it_is_read_back_as_it_was_stored() -> None:
    state = after([1.0] * 20 + [9.0] * 2)
    assert DivergenceDetector.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_it_is_stored_under_the_keys_of_older_checkpoints() -> None:
    state = after([1.0] * 20 + [9.0] * 2)
    assert state.to_json().keys() == {"calm", "began", "num_wild"}
