"""JSON of any size and damage: refused in one short sentence and in linear time."""

from __future__ import annotations

import time

import pytest

from trainer.errors import BadDataset
from trainer.readers.json_text import parse_elements, parse_json
from trainer.readers.reader import read_rows


@pytest.mark.parametrize("text", ["[]", "[1, {}]", " [\n1,2 ]\n"])
def test_the_elements_of_an_array_are_those_that_json_reads(text: str) -> None:
    assert [value for _, value in parse_elements(text)] == parse_json(text)


@pytest.mark.parametrize("text", ["[1,]", "[,]", "[1 2]", "[1", "[1] 2", "["])
def test_a_damaged_array_is_refused_as_json_refuses_it(text: str) -> None:
    for read in (lambda: list(parse_elements(text)), lambda: parse_json(text)):
        with pytest.raises(ValueError, match=" at character "):
            read()


def test_a_key_that_comes_twice_among_very_many_is_found_in_a_moment() -> None:
    pairs = ",".join(f'"k{number}":1' for number in range(30_000))
    begun = time.monotonic()
    with pytest.raises(ValueError, match="it has the key 'k29999' more than once"):
        parse_json(f'{{{pairs},"k29999":2}}')
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a.jsonl", '{"KEY":1,"KEY":2}\n'),
        ("a.jsonl", '{\n"KEY":1,\n"b":2}\n'),
        ("a.csv", "KEY,KEY\n1,2\n"),
    ],
)
def test_a_long_name_is_cut_in_the_sentence_about_it(filename: str, content: str) -> None:
    try:
        [said] = read_rows(content.replace("KEY", "k" * 100_000).encode(), filename)
    except BadDataset as error:
        said = error  # type: ignore[assignment]
    assert isinstance(said, BadDataset)
    assert "kkk" in str(said)
    assert len(str(said)) < 400
