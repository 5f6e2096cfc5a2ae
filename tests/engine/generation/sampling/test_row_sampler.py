"""Which tokens end a row's text."""

from __future__ import annotations

from engine.generation.sampling import RowSampler
from engine.port import Sampling


def test_the_bases_end_tokens_and_the_rows_own_end_a_text() -> None:
    row = RowSampler(Sampling(stop_ids=[7]), [], (2, 3), None)
    assert [token for token in range(9) if row.ends(token)] == [2, 3, 7]


def test_a_row_that_ignores_the_bases_end_tokens_ends_at_its_own_only() -> None:
    row = RowSampler(Sampling(stop_ids=[7], ignore_eos=True), [], (2, 3), None)
    assert [token for token in range(9) if row.ends(token)] == [7]


def test_without_a_grammar_no_written_token_completes_a_text() -> None:
    row = RowSampler(Sampling(), [], (2,), None)
    assert not any(row.accept(token) for token in range(5))
