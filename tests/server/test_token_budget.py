"""The budget of a forward from the speed that was measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.token_budget import TokenBudget


def test_a_forward_has_as_many_tokens_as_are_computed_in_the_target_time() -> None:
    assert TokenBudget(16_384, 0.25, tokens_per_s=6000).num_tokens == 1500


def test_a_fast_engine_gets_no_more_than_the_most() -> None:
    assert TokenBudget(16_384, 0.25, tokens_per_s=1e6).num_tokens == 16_384


def test_a_slow_engine_gets_no_fewer_than_are_worth_a_forward() -> None:
    assert TokenBudget(16_384, 0.25, tokens_per_s=10).num_tokens == 128
    assert TokenBudget(64, 0.25, tokens_per_s=10).num_tokens == 64


def test_without_a_target_a_forward_always_has_the_most() -> None:
    assert TokenBudget(2048, None, tokens_per_s=10).num_tokens == 2048


def test_the_budget_follows_the_speed_of_full_forwards() -> None:
    budget = TokenBudget(16_384, 0.25)
    for _ in range(40):
        budget.observe(budget.num_tokens, budget.num_tokens / 2000)
    assert budget.num_tokens == pytest.approx(500, rel=0.02)


def test_a_few_small_forwards_leave_the_budget_as_it_is() -> None:
    budget = TokenBudget(16_384, 0.25, tokens_per_s=8000)
    for _ in range(10):
        budget.observe(20, 20 / 1000)
    assert budget.num_tokens > 1900


@pytest.mark.parametrize("seconds", [1e-6, 1e6])
def test_one_odd_forward_moves_the_budget_by_a_tenth_at_most(seconds: float) -> None:
    budget = TokenBudget(16_384, 0.25, tokens_per_s=8000)
    for _ in range(10):
        budget.observe(2000, 0.25)
    budget.observe(2000, seconds)
    assert budget.num_tokens == pytest.approx(2000, rel=0.1)


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.just(0.0) | st.floats(1e-6, 100)), max_size=20),
    st.integers(16, 100_000),
)
def test_the_budget_keeps_its_bounds_whatever_is_measured(
    forwards: list[tuple[int, float]], most: int
) -> None:
    budget = TokenBudget(most, 0.25)
    for num_tokens, seconds in forwards:
        budget.observe(num_tokens, seconds)
        assert min(most, 128) <= budget.num_tokens <= most


def test_while_calls_of_several_tenants_come_forwards_are_shorter() -> None:
    now = [0.0]
    budget = TokenBudget(16_384, 0.25, tokens_per_s=8000, clock=lambda: now[0])
    for _ in range(3):
        budget.note_call("acme")
    assert budget.num_tokens == 2000
    budget.note_call("globex")
    assert budget.num_tokens == 800
    budget.note_call("globex")
    now[0] = 3.0
    assert budget.num_tokens == 2000
