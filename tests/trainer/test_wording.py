"""Numbers in sentences."""

from __future__ import annotations

import pytest

from trainer.wording import count_of


@pytest.mark.parametrize(
    ("number", "words", "sentence"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1234, ("row",), "1,234 rows"),
        (1, ("row repeats", "rows repeat"), "1 row repeats"),
        (2, ("row repeats", "rows repeat"), "2 rows repeat"),
    ],
)
def test_a_number_and_its_noun_agree(number: int, words: tuple[str, ...], sentence: str) -> None:
    assert count_of(number, *words) == sentence
