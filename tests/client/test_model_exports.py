"""A version as a model of its own, out of a server over a tiny real base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
)

from adapterd import Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.exports import parity
from engine.config import EngineConfig
from engine.runtime.in_thread import ThreadEngine
from server.config import Settings
from tests.client.commands import Run, command_runner
from tests.client.conftest import RunningServer
from tests.contracts.tiny import build_base

#: words of the tiny vocabulary
WORDS = ["w7 w8", "w9 w10 w11", "w12", "w50 w3 w9 w20 w20 w8 w61"]


def serve(family: str, root: Path) -> Iterator[tuple[RunningServer, Path]]:
    folder = build_base(family, root / family)
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    settings = Settings(data_dir=root / "data", http_port=0, grpc_port=0, metrics_port=0)
    running = RunningServer(settings, engine)
    yield running, folder
    running.stop()
    engine.close()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    yield from serve("bert", tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    yield from serve("llama", tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_runner(monkeypatch, capsys)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(WORDS))
    return path


def lora(model: Any, target: Path, task_type: str) -> Path:
    torch.manual_seed(3)
    targets = ["query", "value"] if task_type == "SEQ_CLS" else ["q_proj", "down_proj"]
    tuned = get_peft_model(model, LoraConfig(task_type=task_type, target_modules=targets, r=4))
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    tuned.save_pretrained(target)
    return target


@pytest.fixture
def url(
    encoder: tuple[RunningServer, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Of a server with the task `mood`."""
    server, folder = encoder
    address = f"http://127.0.0.1:{server.ports.http}"
    with Client(address) as client:
        if "mood" not in [task.task for task in client.tasks()]:
            model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
            adapter = lora(model, tmp_path / "mood", "SEQ_CLS")
            client.register("mood", adapter, labels=["sad", "glad"])
    return address


def test_merged_weights_load_with_transformers_and_answer_as_the_server_does(
    run: Run, url: str, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "merged"
    options = ("--as", "merged", "--texts-file", texts, "--url", url)
    ran = run("adapters", "export", "mood", out, *options)
    assert ran.code == 0, ran.err
    assert "largest difference" in ran.out
    assert "load it with AutoModelForSequenceClassification" in ran.out
    model = AutoModelForSequenceClassification.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    with torch.inference_mode():
        logits = model(**tokenizer(WORDS[3], return_tensors="pt")).logits[0].tolist()
    with Client(url) as client:
        answer = client.predict("mood", WORDS[3], raw_scores=True).outputs[0]
    assert [answer.scores[label] for label in ("sad", "glad")] == pytest.approx(logits, abs=1e-4)
    assert model.config.id2label == {0: "sad", 1: "glad"}


def test_the_parity_is_given_as_json_too(run: Run, url: str, texts: Path, tmp_path: Path) -> None:
    options = ("--as", "merged", "--texts-file", texts, "--url", url, "--json")
    body = run("adapters", "export", "mood@1", tmp_path / "merged", *options).json()
    assert body["parity"]["holds"] is True
    assert body["parity"]["largest"] < body["parity"]["limit"]
    assert (body["parity"]["texts"], body["parity"]["numbers"]) == (4, 12)


@pytest.mark.parametrize("layout", ["merged", pytest.param("onnx", marks=pytest.mark.slow)])
def test_where_the_parity_fails_nothing_is_left_behind(
    run: Run, url: str, texts: Path, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "_LIMITS", {"float32": -1.0})
    before = set(tmp_path.iterdir())
    options = ("--as", layout, "--texts-file", texts, "--url", url)
    ran = run("adapters", "export", "mood", tmp_path / "out", *options)
    assert ran.code == ExitCode.REFUSED
    assert "was not exported: of the text" in " ".join(ran.err.split())
    assert set(tmp_path.iterdir()) == before


def test_another_base_is_refused_and_nothing_is_left_behind(
    run: Run, url: str, decoder: tuple[RunningServer, Path], tmp_path: Path
) -> None:
    _, other = decoder
    before = set(tmp_path.iterdir())
    options = ("--as", "merged", "--base", other, "--url", url)
    ran = run("adapters", "export", "mood", tmp_path / "out", *options)
    assert ran.code == ExitCode.REFUSED
    assert "[wrong_base]" in ran.err
    assert set(tmp_path.iterdir()) == before


def test_a_directory_with_files_is_not_written_over(
    run: Run, url: str, texts: Path, tmp_path: Path
) -> None:
    ran = run("adapters", "export", "mood", tmp_path, "--as", "merged", "--url", url)
    assert ran.code == ExitCode.REFUSED
    assert "is not an empty directory" in ran.err


def test_a_folder_with_the_name_of_a_partial_export_is_left_alone(
    run: Run, url: str, texts: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "mine").write_text("x")
    before = set(tmp_path.iterdir())
    options = ("--as", "merged", "--texts-file", texts, "--url", url)
    ran = run("adapters", "export", "mood", tmp_path / "out", *options)
    assert ran.code == 0, ran.err
    assert set(tmp_path.iterdir()) == {*before, tmp_path / "out"}
    assert (tmp_path / "out.partial" / "mine").read_text() == "x"


def test_the_working_directory_can_be_exported_to(
    run: Run, url: str, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ran = run("adapters", "export", "mood", ".", "--as", "merged", "--texts-file", texts,
              "--url", url)  # fmt: skip
    assert ran.code == 0, ran.err
    names = {path.name for path in Path.cwd().iterdir()}
    assert {"config.json", "model.safetensors", "adapterd.json"} <= names
    assert not [name for name in names if name.startswith(".")]


def test_a_disk_that_is_full_is_a_sentence(
    run: Run, url: str, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: No space left on device")

    monkeypatch.setattr(BertForSequenceClassification, "save_pretrained", fail)
    before = set(tmp_path.iterdir())
    options = ("--as", "merged", "--texts-file", texts, "--url", url)
    ran = run("adapters", "export", "mood", tmp_path / "out", *options)
    assert ran.code == ExitCode.REFUSED
    assert "No space left on device" in " ".join(ran.err.split())
    assert set(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_an_onnx_graph_answers_as_the_server_does(
    run: Run, url: str, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "onnx"
    options = ("--as", "onnx", "--texts-file", texts, "--url", url, "--json")
    ran = run("adapters", "export", "mood", out, *options)
    assert ran.code == 0, ran.err
    assert ran.json()["parity"]["holds"] is True
    assert (out / "model.onnx").is_file()
    assert list(out.glob("*.safetensors")) == []


def test_a_merged_version_that_generates_writes_what_the_server_writes(
    run: Run, decoder: tuple[RunningServer, Path], texts: Path, tmp_path: Path
) -> None:
    server, folder = decoder
    url = f"http://127.0.0.1:{server.ports.http}"
    model = AutoModelForCausalLM.from_pretrained(folder)
    with Client(url) as client:
        client.register("draft", lora(model, tmp_path / "draft", "CAUSAL_LM"), head="generate")
    options = ("--as", "merged", "--texts-file", texts, "--url", url, "--json")
    ran = run("adapters", "export", "draft", tmp_path / "merged", *options)
    assert ran.code == 0, ran.err
    assert ran.json()["parity"]["numbers"] >= 4


def test_a_tar_of_a_real_version_registers_as_the_same_digest(
    run: Run, url: str, tmp_path: Path
) -> None:
    run("adapters", "export", "mood@1", tmp_path / "out", "--as", "tar", "--url", url)
    with Client(url) as client:
        copy = client.register("copied", tmp_path / "out" / "mood-1.tar")
        assert copy.digest == client.version("mood@1").digest
    with Client(url) as client:
        exported = client.export("copied@1", tmp_path / "files")
    manifest = json.loads(next(p for p in exported if p.name == "manifest.json").read_bytes())
    assert manifest["digest"] == copy.digest


# ---------------------------------------------------------------- what is compared


@pytest.mark.parametrize(
    ("served", "exported", "holds"),
    [
        ({"label": "a", "score": 1.0}, {"label": "a", "score": 1.0005}, True),
        ({"label": "a", "score": 1.0}, {"label": "a", "score": 1.1}, False),
        ({"entities": []}, {"entities": []}, False),
        ({"label": "a", "score": 1.0}, {"label": "b", "score": 1.0}, False),
        ({"value": 1000.0}, {"value": 1000.5}, True),
        ({"value": 1.0}, {"value": float("nan")}, False),
        ({"embedding": [1.0, 2.0]}, {"embedding": [1.0, float("nan")]}, False),
        ({"embedding": [1.0, 2.0]}, {"embedding": [1.0]}, False),
        ({"entities": [{"text": "x", "start": 1}]}, {"entities": []}, False),
        ({"value": 1.0}, {"value": 1.0, "more": 2.0}, False),
    ],
)
def test_answers_are_compared_number_by_number(
    served: dict[str, Any], exported: dict[str, Any], holds: bool
) -> None:
    compared = parity.compare_answers(["x"], [served], [exported], "float32")
    assert compared.holds is holds
