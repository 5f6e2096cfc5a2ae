"""Generation through both clients and the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from adapterd import AsyncClient, Client
from adapterd.cli.app import main
from adapterd.errors import Refused
from adapterd.values import Classification, Completion
from engine.testing.fake_engine import write_fake_adapter

HEAD = {"kind": "generate", "format": "plain", "max_tokens": 200}


@pytest.fixture
def draft(client: Client, tmp_path: Path) -> str:
    """The fake gives back what it read, turned round."""
    if "draft" not in [task.task for task in client.tasks()]:
        client.register("draft", write_fake_adapter(tmp_path / "draft", head=HEAD))
    return "draft"


def test_a_stream_says_what_the_whole_answer_says(client: Client, draft: str) -> None:
    prediction = client.predict(draft, ["hello", "naïve"])
    texts = ["", ""]
    for chunk in client.predict_stream(draft, ["hello", "naïve"]):
        assert chunk.digest == prediction.digest
        texts[chunk.input] += chunk.text
        last = chunk
    assert texts == [output.text for output in prediction.outputs]
    assert last.finish_reason == "stop"
    assert last.prompt_tokens == last.completion_tokens > 0


async def test_the_client_for_asyncio_streams_too(environment: None, draft: str) -> None:
    async with AsyncClient() as client:
        whole = (await client.predict(draft, "hello")).outputs[0]
        chunks = [chunk.text async for chunk in client.predict_stream(draft, "hello")]
        assert "".join(chunks) == whole.text
        assert len(chunks) > 1


def test_options_of_sampling_reach_the_answer(client: Client, draft: str) -> None:
    whole = client.predict(draft, "hello", stop=["zzz"], logprobs=1, temperature=0.5, seed=3)
    output = whole.outputs[0]
    assert isinstance(output, Completion)
    assert len(output.tokens) == output.completion_tokens
    assert output.tokens[0].top[0].token == output.tokens[0].token
    cut = client.predict(draft, "hello", stop=output.text[2]).outputs[0]
    assert isinstance(cut, Completion)
    assert cut.text == output.text.partition(output.text[2])[0]


def test_who_stops_listening_ends_the_call(client: Client, draft: str) -> None:
    chunks = client.predict_stream(draft, "x" * 100)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert client.predict(draft, "hello").outputs


def test_wrong_options_are_refused_with_a_sentence(client: Client, draft: str) -> None:
    with pytest.raises(Refused, match="top_p"):
        client.predict(draft, "hello", top_p=3)
    with pytest.raises(Refused, match="temperature"):
        list(client.predict_stream(draft, "hello", temperature=-1))


def test_one_input_without_a_text_fails_alone(client: Client, draft: str) -> None:
    chunks = list(client.predict_stream(draft, ["", "hello"]))
    assert chunks[0].error is not None
    assert chunks[0].error.code == "empty_input"
    assert chunks[-1].finish_reason == "stop"
    assert {chunk.input for chunk in chunks[1:]} == {1}


def test_a_task_that_does_not_write_has_no_stream(client: Client, rows: Path) -> None:
    client.train("kinds", rows, head="classify", settings={"epochs": 1}, promote=True)
    with pytest.raises(Refused, match="the head generate produce text"):
        list(client.predict_stream("kinds", "hello"))
    with pytest.raises(Refused, match="Sampling is for generated text"):
        client.predict("kinds", "hello", temperature=0.5)
    assert isinstance(client.predict("kinds", "hello").outputs[0], Classification)


def test_the_command_line_prints_what_is_written_as_it_is_written(
    draft: str, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = client.predict(draft, ["hello", "there"], max_tokens=4).outputs

    def ran(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["adapterd", "predict", draft, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    given = ("hello", "there", "--max-tokens", "4", "--seed", "1", "--temperature", "0")
    code, out = ran(*given, "--stream")
    assert code == 0
    assert out.splitlines() == [output.text for output in expected]
    code, out = ran("hello", "--max-tokens", "4", "--stream", "--json")
    chunks = [json.loads(line) for line in out.splitlines()]
    assert "".join(chunk["text"] for chunk in chunks) == expected[0].text
    assert chunks[-1]["finish_reason"] == "length"
    assert ran("", "--stream")[0] == 2
    assert ran("hello", "--stream", "--dimensions", "3")[0] != 0
