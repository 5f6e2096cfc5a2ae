"""BIO and BIOES: spans as seqeval has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from engine.heads.tag_scheme import all_labels, is_tag, problem, spans

BIO = ["O", "B-a", "I-a", "B-b", "I-b"]
BIOES = [*BIO, "E-a", "S-a", "E-b", "S-b"]


@given(st.lists(st.sampled_from(BIO)))
def test_spans_of_bio_are_those_of_seqeval(tags: list[str]) -> None:
    assert spans(tags) == [(name, first, last + 1) for name, first, last in get_entities(tags)]


@given(st.lists(st.sampled_from(BIOES)))
def test_spans_of_bioes_are_those_of_seqeval(tags: list[str]) -> None:
    assert spans(tags) == [(name, first, last + 1) for name, first, last in get_entities(tags)]


def test_the_labels_of_a_data_set_are_those_of_its_scheme() -> None:
    assert all_labels(["O", "B-x", "I-a"]) == ["O", "B-a", "I-a", "B-x", "I-x"]
    assert all_labels(["S-x", "O"]) == ["O", "B-x", "I-x", "E-x", "S-x"]


@pytest.mark.parametrize("tag", ["U-x", "B", "B-", "b-x", "BX", "person", ""])
def test_a_tag_of_no_scheme_is_none(tag: str) -> None:
    assert not is_tag(tag)


def test_labels_of_no_scheme_are_a_problem_that_names_the_schemes() -> None:
    assert "(BIO), and E-… and S-… in BIOES" in str(problem(["O", "U-x"]))
    assert problem(["B-x", "I-x"])
    assert problem(BIO) is problem(BIOES) is None
