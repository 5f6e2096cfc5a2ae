"""Batches: a function of seed and epoch, alike in length."""

from __future__ import annotations

from trainer.dataset.batches import num_batches, prediction_batches, training_batches

LENGTHS = [(i * 37) % 50 + 1 for i in range(700)]


def test_every_row_is_in_one_batch() -> None:
    batches = training_batches(LENGTHS, 16, seed=0, epoch=0)
    assert sorted(row for batch in batches for row in batch) == list(range(700))
    assert len(batches) == num_batches(700, 16)


def test_the_same_seed_and_epoch_give_the_same_batches() -> None:
    once = training_batches(LENGTHS, 16, seed=3, epoch=2)
    assert training_batches(LENGTHS, 16, seed=3, epoch=2) == once
    assert training_batches(LENGTHS, 16, seed=3, epoch=1) != once
    assert training_batches(LENGTHS, 16, seed=4, epoch=2) != once


def test_these_batches_are_what_seed_0_has_always_given() -> None:
    """A change here changes every published result: it needs a reason."""
    assert training_batches([1] * 6, 2, seed=0, epoch=0) == [[4, 3], [1, 2], [0, 5]]


def test_rows_of_a_batch_are_alike_in_length() -> None:
    batches = training_batches(LENGTHS, 16, seed=0, epoch=0)
    spreads = [max(LENGTHS[i] for i in b) - min(LENGTHS[i] for i in b) for b in batches]
    assert sum(spreads) / len(spreads) < 8


def test_prediction_batches_stay_under_both_caps() -> None:
    batches = prediction_batches([*LENGTHS, 5000], max_rows=8, max_tokens=100)
    assert sorted(row for batch in batches for row in batch) == list(range(701))
    assert all(len(b) <= 8 for b in batches)
    assert all(sum(LENGTHS[i] for i in b) <= 100 for b in batches[:-1])
    assert batches[-1] == [700]
