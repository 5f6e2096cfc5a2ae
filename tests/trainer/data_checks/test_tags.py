"""Tags in an order that their scheme does not have."""

from __future__ import annotations

from typing import Any

from tests.trainer.data_checks.looking import codes, finding


def tagged(*tags: str, num: int = 50) -> list[dict[str, Any]]:
    good = [
        {"tokens": ["see", f"Zoe{i}", "Doe", "now"], "ner_tags": ["O", "B-per", "I-per", "O"]}
        for i in range(num)
    ]
    words = [f"word{i}" for i in range(len(tags))]
    return [*good, {"tokens": words, "ner_tags": list(tags)}]


def test_an_entity_that_begins_nowhere_is_named_with_its_word() -> None:
    found = finding("bio_violation", tagged("O", "I-per", "O"), head="tag")
    assert (found.count, found.samples[0].line) == (1, 51)
    assert "the first is I-per of 'word1', after O" in found.message
    assert found.samples[0].text == "word0/O word1/I-per word2/O"


def test_an_entity_that_changes_its_type_within_is_broken() -> None:
    assert finding("bio_violation", tagged("B-per", "I-loc"), head="tag").count == 1


def test_bioes_must_end_what_it_begins() -> None:
    rows = tagged("B-per", "E-per", "O", "S-loc", num=0) * 30
    rows = [{**row, "tokens": [f"{w}{i}" for w in row["tokens"]]} for i, row in enumerate(rows)]
    assert "bio_violation" not in codes(rows, head="tag")
    broken = {"tokens": ["a", "b"], "ner_tags": ["B-per", "O"]}
    assert finding("bio_violation", [*rows, broken], head="tag").facts["scheme"] == "BIOES"


def test_single_words_tagged_in_two_schemes_are_told() -> None:
    rows = [
        {"tokens": ["see", f"Zoe{i}"], "ner_tags": ["O", "S-per" if i % 3 else "B-per"]}
        for i in range(60)
    ]
    assert finding("mixed_tag_schemes", rows, head="tag").count == 20


def test_a_file_that_begins_entities_with_i_is_called_iob1() -> None:
    rows = [
        {"tokens": ["see", f"Zoe{i}", "now"], "ner_tags": ["O", "I-per", "O"]} for i in range(60)
    ]
    assert "seems to be IOB1" in finding("bio_violation", rows, head="tag").message


def test_words_that_are_an_entity_nearly_everywhere_are_pointed_out_where_they_are_not() -> None:
    rows = [
        {"tokens": [f"a{i}", "London"], "ner_tags": ["O", "B-loc" if i else "O"]} for i in range(60)
    ]
    found = finding("untagged_words", rows, head="tag")
    assert [(sample.line, sample.text) for sample in found.samples] == [(1, "London")]
