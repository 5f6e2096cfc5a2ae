"""What a careful look finds in real tweets, which have been used as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trainer.data_checks.looking import look

DATA = Path(__file__).parents[4] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")


def test_tweets_repeat_leak_and_are_partly_decoded_wrongly() -> None:
    tweets = [json.loads(line) for line in (DATA / "tweets.jsonl").read_text().splitlines()]
    rows = [{**row, "label": "good" if row["score"] > 0 else "bad"} for row in tweets]
    found = {each.code: each for each in look(rows).findings}
    assert found["exact_duplicates"].count == 60
    assert found["wrongly_decoded"].count == 2
    assert found["near_leak"].count > 5
    assert "label_typo" not in found
    assert "bio_violation" not in found


def test_tagged_tweets_contradict_themselves_and_break_no_scheme() -> None:
    content = (DATA / "tweets_ner.conll").read_bytes()
    found = {each.code: each for each in look(content, "tweets_ner.conll", head="tag").findings}
    assert found["conflicting_duplicates"].count == 14
    assert found["class_imbalance"].facts["rows"]["person"] == 345
    assert "bio_violation" not in found
