"""When a checkpoint is worth its while."""

from __future__ import annotations

from tests.trainer.build import Clock
from trainer.training.checkpointing import CheckpointInterval


def test_the_first_is_due_after_its_time_and_affordable_at_once() -> None:
    rhythm = CheckpointInterval(30.0, clock := Clock())
    assert (rhythm.due, rhythm.affordable) == (False, True)
    clock.now += 30
    assert rhythm.due


def test_what_took_long_to_write_is_written_more_rarely() -> None:
    rhythm = CheckpointInterval(1.0, clock := Clock())
    with rhythm.writing():
        clock.now += 2
    clock.now += 39
    assert (rhythm.due, rhythm.affordable) == (False, False)
    clock.now += 1
    assert (rhythm.due, rhythm.affordable) == (True, True)


def test_time_counts_from_the_end_of_the_last_one() -> None:
    rhythm = CheckpointInterval(30.0, clock := Clock())
    clock.now += 30
    with rhythm.writing():
        clock.now += 1
    clock.now += 29
    assert not rhythm.due
    clock.now += 1
    assert rhythm.due
