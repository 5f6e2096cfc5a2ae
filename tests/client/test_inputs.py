"""Every object that a person would pass is read as HTTP reads it, or refused by type."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pydantic
import pytest
from google.protobuf.json_format import MessageToDict

from adapterd import AsyncClient, Client, Question
from adapterd.calls.inputs import read_inputs
from adapterd.errors import InvalidInput, Refused
from adapterd.v1 import predictor_pb2 as messages
from engine.testing.fake_engine import write_fake_adapter
from server.grpc_api import wire
from tests.client.conftest import RunningServer

PAIR = messages.Input(pair=messages.Pair(text="a", text_pair="b"))
TEXT = messages.Input(text="a")
ASKED = messages.Input(question_context=messages.QuestionContext(question="q", context="c"))
TURN = messages.Message(role="user", content="hi")
TALK = messages.Input(messages=messages.Messages(messages=[TURN]))


class Row(NamedTuple):
    """As `itertuples` of a table gives it: the names in the order of the columns."""

    text_pair: str
    text: str


class Renamed(NamedTuple):
    premise: str
    hypothesis: str


@dataclass
class Named:
    text: str = "a"
    text_pair: str = "b"


class Model(pydantic.BaseModel):
    text: str = "a"
    text_pair: str = "b"


class Table:
    """Iterates over the names of its columns, as pandas' does."""

    ndim = 2
    shape = (1, 2)

    def __iter__(self) -> Any:
        return iter(["text", "text_pair"])


class Column:
    """One-dimensional, as pandas' Series."""

    ndim = 1

    def tolist(self) -> list[Any]:
        return ["a", "a"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("a", [TEXT]),
        (np.str_("a"), [TEXT]),
        ({"text": "a"}, [TEXT]),
        ({"text": "a", "text_pair": None}, [TEXT]),
        (("a", "b"), [PAIR]),
        ({"text_pair": "b", "text": "a"}, [PAIR]),
        (Row(text_pair="b", text="a"), [PAIR]),
        ({"context": "c", "question": "q"}, [ASKED]),
        (Question(question="q", context="c"), [ASKED]),
        (Named(), [PAIR]),
        ([Named(), Named(text_pair=None)], [PAIR, TEXT]),  # type: ignore[arg-type]
        ({"messages": [{"content": "hi", "role": "user"}]}, [TALK]),
        ({"messages": [("user", "hi")]}, [TALK]),
        ([[("user", "hi")]], [TALK]),
        ([[{"role": "user", "content": "hi"}]], [TALK]),
        (["a", {"text": "a", "text_pair": "b"}, ("a", "b")], [TEXT, PAIR, PAIR]),
        ((each for each in ["a", "a"]), [TEXT, TEXT]),
        (map(str, ["a"]), [TEXT]),
        (("a", "a", "a"), [TEXT, TEXT, TEXT]),
        (np.array(["a", "a"]), [TEXT, TEXT]),
        (Column(), [TEXT, TEXT]),
        ([], []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_input_is_read_by_its_names(given: Any, read: list[messages.Input]) -> None:
    assert read_inputs(given) == read


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "inputs must be a list, not None"),
        (3, r"not an int \(3\)"),
        (b"ab", r"not a bytes \(b'ab'\)"),
        (bytearray(b"ab"), "not a bytearray"),
        ({"a", "b"}, "not a set"),
        ({"a": 1}.values(), "not a dict_values"),
        (Model(), "not a Model"),
        (Table(), "not a Table"),
        (np.array([["a", "b"]]), "not a ndarray"),
        ([None], "Input 0 is None"),
        (["a", 3], r"Input 1 is an int \(3\)"),
        ([float("nan")], r"Input 0 is a float \(nan\)"),
        ([b"ab"], "Input 0 is a bytes"),
        ([["a", "b"]], r"Input 0, turn 0 is a str \('a'\)"),
        ([[]], "Input 0 has a list for messages"),
        ([("a", "b", "c")], "Input 0 is a tuple of 3"),
        ([("a",)], "Input 0 is a tuple of 1"),
        ([("a", None)], "Input 0 is a tuple of 2"),
        ([("a", 3)], r"Input 0: text_pair is an int \(3\)"),
        (Renamed("a", "b"), "an object with 'premise', 'hypothesis'"),
        ({"role": "user", "content": "hi"}, "an object with 'role', 'content'"),
        ({"text": "a", "pair": "b"}, "an object with 'text', 'pair'"),
        ({"text": "a", "text_pair": "b", "label": "x"}, "'text', 'text_pair', 'label'"),
        ({"text": "a", "question": "q"}, "an object with 'text', 'question'"),
        ({"text_pair": "b"}, "an object with 'text_pair'"),
        ({}, "an object with nothing"),
        ({1: "a"}, "an object with 1"),
        ({"text": None}, "an object with nothing"),
        ({"text": ["a"]}, "text is a list; it must be a text"),
        ({"question": "q", "context": 3}, "context is an int"),
        ({"messages": "hi"}, "a str .* for messages"),
        ({"messages": [{"role": "user"}]}, "turn 0 is an object with 'role'"),
        ({"messages": [{"role": "user", "content": None}]}, "turn 0 is an object with 'role'"),
        ({"messages": [{"role": "user", "content": 3}]}, "turn 0: content is an int"),
        ({"messages": [{"role": "user", "content": "a", "name": {3}}]}, "no plain JSON"),
        ({"messages": [("user", "hi")], "tool": []}, "an object with 'messages', 'tool'"),
        (Question(question="q", context=None), "an object with 'question'"),  # type: ignore[arg-type]
        ("\ud83d", "lone surrogate"),
        ([("a", "\udc00")], "lone surrogate"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_input_is_refused_with_a_sentence(given: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as raised:
        read_inputs(given)
    assert isinstance(raised.value, TypeError)


def test_a_conversation_with_more_than_roles_and_contents_is_sent_whole() -> None:
    turns = [{"role": "user", "content": "hi", "name": "Al"}]
    tools = [{"type": "function", "function": {"name": "add"}}]
    (read,) = read_inputs({"messages": turns, "tools": tools})
    assert json.loads(read.messages.conversation) == {"messages": turns, "tools": tools}
    assert wire.read_inputs([read]) == [{"messages": turns, "tools": tools}]


@pytest.fixture
def pairs(client: Client, tmp_path: Path) -> str:
    head = {"kind": "classify", "labels": ["a", "b"]}
    adapter = write_fake_adapter(tmp_path / "pairs", head=head)
    client.register("pairs", adapter, head_settings={"input": "pair"})
    return "pairs"


async def test_an_object_has_the_scores_that_http_gives_for_it(
    client: Client, pairs: str, server: RunningServer
) -> None:
    item = {"text_pair": "the second one", "text": "the first"}
    url = f"http://127.0.0.1:{server.ports.http}/v1/tasks/{pairs}/predict"
    async with httpx.AsyncClient(trust_env=False) as http:
        (right,) = (await http.post(url, json={"inputs": [item]})).json()["outputs"]
    async with AsyncClient() as asynchronous:
        answers = [
            client.predict(pairs, item),
            client.predict(pairs, ("the first", "the second one")),
            await asynchronous.predict(pairs, [item]),
            *client.predict_many([pairs], item).raise_for_tasks(),
        ]
    assert [answer.outputs[0].scores for answer in answers] == [right["scores"]] * 4


MISFITS: dict[str, tuple[Callable[[Client], object], str]] = {
    "stream": (lambda c: list(c.predict_stream("t", [None])), "Input 0 is None"),
    "many": (lambda c: c.predict_many(["t"], {"a": "b", "c": "d"}), "'a', 'c'"),
    "many refs": (lambda c: c.predict_many({"t": 1}, "a"), "task_ids must be a list"),
    "ref": (lambda c: c.predict(7, "a"), r"task_id cannot be an int \(7\)"),
    "ref of two halves": (lambda c: c.predict("\ud800", "a"), "task_id cannot be"),
    "parameter": (lambda c: c.predict("t", "a", stop={"a"}), "parameters.stop is a set"),
    "seed": (lambda c: c.predict("t", "a", seed=2**60), r"at most 2\^53"),
    "not finite": (lambda c: c.predict("t", "a", top_p=float("nan")), "must be a finite number"),
    "labels as one text": (lambda c: c.register("t", labels="a,b"), r"not a str \('a,b'\)"),
    "labels without order": (lambda c: c.register("t", labels={"a", "b"}), "not a set"),
    "labels by name": (lambda c: c.register("t", labels={"a": 0}), "not a dict"),
    "labels that are numbers": (lambda c: c.register("t", labels=[0, 1]), "labels cannot be"),
    "head settings": (lambda c: c.register("t", head_settings="input=pair"), "must be a mapping"),
    "no such option": (
        lambda c: c.register("t", label=["a"]),
        "There is no option 'label'",
    ),
    "directory": (lambda c: c.register("t", ["a"]), "adapter must be a path"),
    "no directory": (lambda c: c.register("t", "not there"), "not there is neither a directory"),
    "rows": (lambda c: c.train("t", [{"text": "a"}], head="classify"), "data must be a path"),
    "no rows": (lambda c: c.train("t", None, head="classify"), "not None"),
    "a folder of rows": (lambda c: c.upload("/"), "/ is a folder; pass one of the files in it"),
    "rows elsewhere": (
        lambda c: c.upload("https://example.org/a.csv"),
        "https://example.org/a.csv is a URL; download the file and pass its path",
    ),
    "rows with a NUL": (lambda c: c.upload("a\0b"), "contains a NUL"),
    "settings": (lambda c: c.create_job("t", {}, settings=[1]), "settings must be a mapping"),
    "a path for an id": (lambda c: c.create_job("t", {"file_id": Path("a")}), "file_id cannot be"),
    "notes": (lambda c: c.create_job("t", {}, metadata={"a": 1}), "metadata cannot be"),
    "codes": (lambda c: list(c.job_events("j", codes="job.queued")), "codes must be a list"),
    "one file for all": (lambda c: c.create_job("t", "file-1"), "file_ids must be a mapping"),
    "one file to check": (lambda c: c.check_file("file-1"), "file_ids must be a mapping"),
    "a job for its id": (lambda c: c.cancel_job({"id": "j"}), "id cannot be a dict"),
    "seed beyond all": (lambda c: c.predict("t", "a", seed=10**5000), r"at most 2\^53"),
    "a number beyond all": (lambda c: c.predict("t", [10**5000]), "Input 0 is an int;"),
    "no number of seconds": (
        lambda c: c.predict("t", "a", timeout_s=float("nan")),
        "must be a number of seconds",
    ),
    "seconds": (lambda c: c.predict("t", "a", timeout_s="5"), "must be a number of seconds"),
    "where to export": (lambda c: c.export("t", None), "directory must be a path"),
    "version": (lambda c: c.promote("t", "2"), "version cannot be a str"),
    "file": (lambda c: c.versions_made_from("not there"), "There is no file not there in "),
}


@pytest.mark.parametrize("name", MISFITS)
def test_an_argument_of_the_wrong_type_is_refused_by_name(client: Client, name: str) -> None:
    call, words = MISFITS[name]
    with pytest.raises(Refused, match=words):
        call(client)


def test_numbers_of_numpy_and_whole_numbers_as_names_are_settings() -> None:
    settings = {
        "learning_rate": np.float32(0.5), "epochs": np.int64(2), "7": {8: (1, None)},
        "rslora": np.bool_(1),
    }  # fmt: skip

    from adapterd.calls.arguments import to_struct

    assert MessageToDict(to_struct("settings", settings)) == {
        "learning_rate": 0.5, "epochs": 2.0, "7": {"8": [1.0, None]}, "rslora": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "endless", [float("inf"), 10**400, np.float64("inf")], ids=["infinity", "huge", "of numpy"]
)
def test_an_infinite_time_limit_is_none(endless: float) -> None:
    from adapterd.calls.arguments import to_timeout

    assert to_timeout("timeout_s", endless) is None
