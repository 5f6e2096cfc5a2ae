"""Splits: the same for the same seed, without any text in two of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.build import examples
from trainer.dataset.split import Split, split_examples
from trainer.errors import TooFewRows
from trainer.readers.example import Example


def split(rows: list[Example], head: str = "classify", seed: int = 0, **given: object) -> Split:
    shares = {"dev_share": 0.1, "test_share": 0.2, **given}
    return split_examples(rows, head=head, seed=seed, **shares)  # type: ignore[arg-type]


def lines(rows: list[Example]) -> set[int]:
    return {row.line for row in rows}


def test_the_same_seed_gives_the_same_split_in_any_order_of_rows() -> None:
    rows = examples(["a", "b"] * 100)
    one, other = split(rows), split(rows[::-1])
    assert lines(one.test) == lines(other.test)
    assert lines(one.dev) == lines(other.dev)


def test_another_seed_gives_another_split() -> None:
    rows = examples(["a", "b"] * 100)
    assert lines(split(rows, seed=0).test) != lines(split(rows, seed=1).test)


def test_shares_are_kept_in_every_class() -> None:
    sizes = split(examples(["a"] * 150 + ["b"] * 50))
    assert sizes.sizes == {"train": 144, "dev": 16, "test": 40}
    assert sum(row.label == "b" for row in sizes.test) == 10


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=40, max_size=120))
def test_no_text_is_in_two_parts_and_no_row_is_lost(pairs: list[tuple[int, str]]) -> None:
    rows = examples([label for _, label in pairs], [f"Text  {text}" for text, _ in pairs])
    try:
        parts = split(rows)
    except TooFewRows:
        return
    groups = [{row.group for row in part} for part in (parts.train, parts.dev, parts.test)]
    assert len(set().union(*groups)) == sum(len(each) for each in groups)
    assert sum(parts.sizes.values()) == len(rows)


def test_a_given_test_file_is_taken_whole_and_its_texts_leave_the_training_rows() -> None:
    rows = examples(["a", "b"] * 50)
    test = examples(["a", "b"], ["TEXT 0", "new text"])
    parts = split(rows, test=test)
    assert (parts.test, parts.num_leaked) == (test, 1)
    assert 1 not in lines(parts.train + parts.dev)


def test_a_class_with_too_few_rows_to_learn_is_named() -> None:
    with pytest.raises(TooFewRows, match="'rare' has too few rows: 1 left"):
        split(examples(["a", "b"] * 50 + ["rare"]))


def test_without_a_dev_share_there_are_no_dev_rows() -> None:
    assert split(examples(["a", "b"] * 50), dev_share=0.0).dev == []


def test_regression_rows_are_split_without_classes() -> None:
    parts = split(examples([float(i) for i in range(100)]), head="regress")
    assert parts.sizes == {"train": 72, "dev": 8, "test": 20}
