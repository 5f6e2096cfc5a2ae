"""Data frames of pandas in and out of the clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import pytest

from adapterd import AsyncClient, Client
from adapterd.errors import InvalidInput, Refused
from engine.testing.fake_engine import write_fake_adapter


@pytest.fixture
def mood(client: Client, tmp_path: Path) -> str:
    if "mood" not in [task.task for task in client.tasks()]:
        client.register("mood", write_fake_adapter(tmp_path / "adapter", ["bad", "good"]))
    return "mood"


def test_a_frame_comes_back_with_its_index_its_columns_and_the_answers(
    client: Client, mood: str
) -> None:
    texts = [f"text {n}" for n in range(200)]
    index = [f"row {n % 150}" for n in range(200)]  # with repeated labels
    frame = pandas.DataFrame({"review": texts, "stars": range(200)}, index=index)
    answers = client.predict_frame(mood, frame, text="review", progress=True)
    assert list(answers.index) == index
    assert list(answers.columns) == [
        "review", "stars", "predicted_label", "predicted_score", "predicted_error", "predicted_by",
    ]  # fmt: skip
    expected = client.predict(mood, texts).outputs
    assert list(answers.predicted_label) == [output.label for output in expected]
    assert list(answers.predicted_score) == [output.score for output in expected]
    assert set(answers.predicted_by) == {"mood@1"}
    assert list(frame.columns) == ["review", "stars"]


def test_a_cell_without_a_text_is_an_error_in_its_row(client: Client, mood: str) -> None:
    frame = pandas.DataFrame({"text": ["a text", None, float("nan"), 3, ""]})
    answers = client.predict_frame(mood, frame)
    assert answers.predicted_label.isna().tolist() == [False, True, True, True, True]
    errors = answers.predicted_error.tolist()
    assert "text is an int (3); it must be a text." in errors[3]
    assert errors[4].startswith("empty_input: ")


def test_pairs_and_questions_are_two_columns(client: Client, tmp_path: Path) -> None:
    client.register("ranks", write_fake_adapter(tmp_path / "a", head={"kind": "rerank"}))
    span = {"kind": "span", "no_answer": False}
    client.register("spans", write_fake_adapter(tmp_path / "b", head=span))
    frame = pandas.DataFrame({"one": ["who?"], "two": ["Zoe is here"]})
    ranked = client.predict_frame("ranks", frame, "one", text_pair="two")
    (expected,) = client.predict("ranks", ("who?", "Zoe is here")).outputs
    assert ranked.predicted_score.tolist() == [expected.score]
    answered = client.predict_frame("spans", frame, "two", question="one", prefix="a_")
    assert answered.a_text.tolist()[0] in "Zoe is here"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ([{"text": "a"}], "frame is a list; it must be a DataFrame of pandas"),
        (pandas.Series(["a"]), "frame is a Series; it must be a DataFrame"),
        (pandas.DataFrame({"review": ["a"], "stars": [1]}), "no column 'text'; it has: review, st"),
        (pandas.DataFrame([["a", "b"]], columns=["text", "text"]), "more than one column 'text'"),
        (pandas.DataFrame({"text": ["a"], "predicted_by": [1]}), "'predicted_by' already; pass"),
    ],
    ids=["list", "series", "column", "twice", "taken"],
)
def test_what_is_no_frame_of_texts_is_refused_with_the_way_out(
    client: Client, mood: str, frame: Any, words: str
) -> None:
    with pytest.raises(Refused, match=words) as raised:
        client.predict_frame(mood, frame)
    assert isinstance(raised.value, InvalidInput) == ("must be" in words)


async def test_the_asyncio_client_answers_frames_alike(client: Client, mood: str) -> None:
    frame = pandas.DataFrame({"text": ["one", "two"]})
    async with AsyncClient() as asynchronous:
        answers = await asynchronous.predict_frame(mood, frame)
    pandas.testing.assert_frame_equal(answers, client.predict_frame(mood, frame))
    empty = client.predict_frame(mood, frame[:0])
    assert list(empty.columns) == ["text", "predicted_error", "predicted_by"]
