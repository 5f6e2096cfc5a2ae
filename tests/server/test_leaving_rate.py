"""How fast texts leave their queue, which is the speed at which a refused one comes back."""

from __future__ import annotations

import pytest

from server.dispatch.leaving_rate import LeavingRate


def test_the_rate_is_what_leaves_in_a_second_while_others_wait() -> None:
    rate = LeavingRate()
    for second in range(200):
        rate.observe(30, float(second), others_wait=True)
    assert rate.tokens_per_s == pytest.approx(30, rel=0.01)


def test_a_time_in_which_nothing_waits_leaves_the_rate_as_it_is() -> None:
    rate = LeavingRate()
    before = rate.tokens_per_s
    rate.observe(1, 0.0, others_wait=False)
    rate.observe(1, 1000.0, others_wait=True)
    assert rate.tokens_per_s == before


def test_a_queue_that_does_not_move_keeps_a_rate_to_divide_by() -> None:
    rate = LeavingRate()
    for second in range(0, 100_000, 100):
        rate.observe(0, float(second), others_wait=True)
    assert rate.tokens_per_s == 1
