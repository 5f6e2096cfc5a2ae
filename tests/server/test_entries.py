"""What calls of every head share: their deadline, and the second attempt after a restart."""

from __future__ import annotations

import pytest

from engine.errors import EngineGone
from server.auth.caller import Caller, Role
from server.errors import Stale
from server.limits import CallLimits
from server.service.entries import retry_once_if_stale

LIMITS = CallLimits(max_inputs=1, max_chars=1, timeout_s=10.0, entry_tokens=1, entry_rows=1)


class Attempts:
    """Fails with these errors, one an attempt, and answers then."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.num_made = list(errors), 0

    async def __call__(self) -> str:
        self.num_made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.mark.parametrize(("deadline", "latest"), [(None, 15.0), (9.0, 9.0), (99.0, 15.0)])
def test_a_call_ends_at_its_own_deadline_or_at_the_servers_limit(
    deadline: float | None, latest: float
) -> None:
    caller = Caller(tenant="acme", key_id="", role=Role.USE, request_id="1", deadline=deadline)
    assert LIMITS.deadline(caller, 5.0) == latest


async def test_rows_that_a_replaced_engine_never_saw_are_queued_once_more() -> None:
    attempts = Attempts(Stale())
    assert await retry_once_if_stale(attempts) == "answer"
    assert attempts.num_made == 2


@pytest.mark.parametrize("errors", [[Stale(), Stale()], [EngineGone()]])
async def test_rows_that_may_have_been_seen_or_are_stale_twice_are_not_queued_again(
    errors: list[Exception],
) -> None:
    attempts = Attempts(*errors)
    with pytest.raises(EngineGone):
        await retry_once_if_stale(attempts)
    assert attempts.num_made == len(errors)
