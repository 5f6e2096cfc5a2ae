"""Inputs and answers of every head through the client and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapterd import Client, Question
from adapterd.errors import Refused
from adapterd.v1 import adapters_pb2
from adapterd.values import Classification, Embedding, Relevance, RowError, Span
from adapterd.wire.adapter_files import register_requests
from engine.testing.fake_engine import write_fake_adapter
from tests.client.test_command_line import Run, run  # noqa: F401 a fixture

CLASSIFY = {"kind": "classify", "labels": ["a", "b"]}


def registered(client: Client, folder: Path, task: str, **head: Any) -> str:
    client.register(task, write_fake_adapter(folder, head=head))
    return task


def test_a_question_is_answered_by_a_span(client: Client, tmp_path: Path) -> None:
    task = registered(client, tmp_path / "a", "answers", kind="span", no_answer=False)
    asked = Question(question="who?", context="Zoe is here")
    for given in (asked, [asked]):
        (output,) = client.predict(task, given).outputs
        assert isinstance(output, Span)
        assert asked.context[output.start : output.end] == output.text != ""


def test_a_pair_has_a_relevance(client: Client, tmp_path: Path) -> None:
    task = registered(client, tmp_path / "a", "relevant", kind="rerank")
    (output,) = client.predict(task, ("why?", "because")).outputs
    assert isinstance(output, Relevance)
    assert 0 <= output.score <= 1


def test_an_embedding_has_as_many_numbers_as_asked(client: Client, tmp_path: Path) -> None:
    task = registered(client, tmp_path / "a", "vector", kind="embed")
    (output,) = client.predict(task, "a text", dimensions=3).outputs
    assert isinstance(output, Embedding)
    assert len(output.embedding) == 3


def test_several_labels_are_those_over_the_threshold(client: Client, tmp_path: Path) -> None:
    head = {**CLASSIFY, "multi_label": True, "threshold": 0.0}
    task = registered(client, tmp_path / "a", "several", **head)
    (output,) = client.predict(task, "a text").outputs
    assert isinstance(output, Classification)
    assert output.labels == ("a", "b")


#: beside the adapter's own files: what is sent of it is nothing
LEFT = {
    "optimizer.pt": "optimizer.pt", "train.py": "train.py", ".git/HEAD": ".git/",
    "runs/events": "runs/", "odd\\name": "odd?name", "checkpoint-5/README.md": "checkpoint-5/",
}  # fmt: skip


def test_what_is_no_file_of_an_adapter_is_neither_sent_nor_a_reason_to_refuse(
    client: Client, tmp_path: Path
) -> None:
    adapter = write_fake_adapter(tmp_path / "a", ["no", "yes"])
    for name in LEFT:
        (adapter / name).parent.mkdir(exist_ok=True)
        (adapter / name).write_text("x")
    parts = list(register_requests(adapters_pb2.RegisterMetadata(), adapter))
    assert [part.chunk.name for part in parts[1:]] == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    version = client.register("left", adapter)
    assert sorted(version.left_out) == sorted(LEFT.values())
    assert client.version("left@1").left_out == version.left_out


def test_another_bases_adapter_is_insisted_on_by_client_and_command(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    adapter = write_fake_adapter(tmp_path / "a", ["no", "yes"], seed=7)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "some-lab/other-model"
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(Refused, match="'some-lab/other-model'; this server runs 'fake'"):
        client.register("elsewhere", adapter)
    version = client.register("elsewhere", adapter, other_base=True)
    assert version.lineage["other_base"] == "some-lab/other-model"
    command = ("adapters", "register", "anew", adapter, "--other-base", "--json")
    assert run(*command).json()["lineage"]["other_base"] == "some-lab/other-model"


def test_a_folder_of_checkpoints_is_refused_with_the_name_of_the_one_to_register(
    client: Client, tmp_path: Path
) -> None:
    write_fake_adapter(tmp_path / "run" / "checkpoint-500")
    with pytest.raises(Refused, match=r"checkpoint-500/adapter_config\.json is: register that"):
        client.register("runs", tmp_path / "run")


def test_settings_of_the_head_are_said_when_registering(client: Client, tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "a", head=CLASSIFY)
    client.register("paired", adapter, head_settings={"input": "pair"})
    first, second = client.predict("paired", [("a", "b"), "a"]).outputs
    assert isinstance(first, Classification)
    assert isinstance(second, RowError)
    assert second.code == "wrong_input"


def test_the_command_asks_questions_and_pairs(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    registered(client, tmp_path / "a", "asked", kind="span", no_answer=False)
    ran = run("predict", "asked", "Zoe is here", "--question", "who?", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["outputs"][0]["text"] in "Zoe is here"
    registered(client, tmp_path / "b", "ranked", kind="rerank")
    assert "score" in run("predict", "ranked", "a", "--pair", "b", "--json").json()["outputs"][0]
    both = run("predict", "ranked", "a", "--pair", "b", "--question", "c")
    assert both.code == 2
    for task, option in (("asked", "--question"), ("ranked", "--pair")):
        assert run("predict", task, "some text", option, "b").code == 0


def test_the_command_registers_with_settings_of_the_head(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    adapter = write_fake_adapter(tmp_path / "a", head={"kind": "embed"})
    ran = run("adapters", "register", "short", adapter, "--set", "dimensions=4", "--json")
    assert ran.code == 0, ran.err
    shown = run("predict", "short", "a text")
    assert "(4 dimensions)" in shown.out
    cut = run("predict", "short", "a text", "--dimensions", "2", "--json").json()
    assert len(cut["outputs"][0]["embedding"]) == 2


@pytest.mark.parametrize("head", ["span", "embed", "rerank"])
def test_the_command_trains_every_head(run: Run, tmp_path: Path, head: str) -> None:  # noqa: F811
    from tests.trainer.build import pair_rows, question_rows, relevance_rows

    rows = {"span": question_rows, "embed": pair_rows, "rerank": relevance_rows}[head]()
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows))
    ran = run("train", f"new-{head}", "--data", data, "--head", head, "--set", "epochs=2", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["metrics"]["test"]
