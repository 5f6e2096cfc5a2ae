"""Rows that judge and nearly are rows that train, by words and by what the base makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.trainer.data_checks.looking import codes, finding, moods
from trainer.data_checks import leaks
from trainer.data_checks.embedder import Embedder
from trainer.data_checks.near_texts import near_texts

ALL_TRAIN = {"dev_share": 0.0}


def test_a_test_row_that_differs_in_punctuation_only_is_a_near_leak() -> None:
    rows = moods()
    test = [{**row, "text": row["text"].replace(" b", "! B") + "..."} for row in rows[:10]]
    found = finding("near_leak", rows, test=[*test, *moods(160)[140:]], settings=ALL_TRAIN)
    assert (found.severity, found.count, found.facts["part"]) == ("warning", 10, "test")
    assert found.samples[0].file == "test.jsonl"
    assert "~ line 1: lovely a0" in found.samples[0].text


def test_texts_that_share_a_word_or_two_are_no_leak() -> None:
    assert "near_leak" not in codes(moods())


def test_what_the_base_finds_unlike_is_no_leak_though_most_words_are_shared() -> None:
    rows = moods()
    test = [{**row, "text": row["text"] + " not"} for row in rows[:10]]
    assert "near_leak" in codes(rows, test=test)

    def unlike(pairs: Sequence[tuple[str, str]]) -> list[float]:
        assert len(pairs) == 10
        return [0.2] * len(pairs)

    assert "near_leak" not in codes(rows, test=test, likeness=unlike, settings=ALL_TRAIN)


def test_half_of_the_words_are_enough_where_the_base_finds_them_alike() -> None:
    rows = moods()
    test = [{**row, "text": row["text"].rsplit(" ", 1)[0] + " e f"} for row in rows[:10]]
    assert "near_leak" not in codes(rows, test=test)
    found = finding("near_leak", rows, test=test, likeness=lambda pairs: [0.99] * len(pairs))
    assert "embeddings" in found.message


def test_a_file_too_large_to_wait_for_is_looked_through_when_the_job_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaks, "_MAX_ROWS", 20)
    rows = moods()
    test = [{**row, "text": row["text"] + "!"} for row in rows[:10]]
    assert "near_leak" not in codes(rows, test=test)
    assert "near_leak" in codes(rows, test=test, likeness=lambda pairs: [0.99] * len(pairs))


def test_the_join_finds_what_comparing_all_with_all_finds() -> None:
    texts = [f"w{i % 5} w{i % 7} w{i % 11} w{i % 3} w{i % 13} w{i % 2}" for i in range(200)]
    queries, among = texts[:60], texts[60:]
    found = {pair.query: pair.overlap for pair in near_texts(queries, among, 0.6)}
    for query, text in enumerate(queries):
        words = set(text.split())
        best = max(len(words & set(o.split())) / len(words | set(o.split())) for o in among)
        assert found.get(query, 0.0) == (best if best >= 0.6 else 0.0)


def test_the_base_is_asked_once_for_a_text_and_tenants_share_nothing() -> None:
    engine = FakeEngine()
    embedder = Embedder(engine, Tokenizer(engine.info.tokenizer_json, engine.info.max_tokens))
    pairs = [("one text", "one text"), ("one text", "zzzz zzzz")]
    likeness = embedder.likeness("a", pairs, lambda: None)
    assert likeness[0] > 0.999
    assert likeness[1] < likeness[0]
    asked = len(engine.steps)
    embedder.likeness("a", pairs, lambda: None)
    assert len(engine.steps) == asked
    embedder.likeness("b", pairs, lambda: None)
    assert len(engine.steps) > asked
