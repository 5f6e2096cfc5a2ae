"""Who writes: a version of a task, or the base itself."""

from __future__ import annotations

from msgspec import structs

from engine.testing.fake_base import fake_info
from server.service.resolved_model import ResolvedModel


def test_the_base_writes_no_more_than_leaves_room_for_a_prompt() -> None:
    info = fake_info()
    small = structs.replace(info, num_blocks=4, block_tokens=16)
    large = structs.replace(info, num_blocks=4096, block_tokens=16)
    bases = [ResolvedModel.generating_base(each, "base") for each in (small, large)]
    assert [base.head["max_tokens"] for base in bases] == [32, info.max_tokens]
