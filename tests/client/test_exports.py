"""What other programs get of a version, and archives as they come back."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import httpx
import pytest

from adapterd import Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.errors import Refused
from engine.testing.fake_engine import write_fake_adapter
from tests.client.commands import Run, command_runner
from tests.client.conftest import RunningServer
from tests.registry.archive_builder import PACKERS


@pytest.fixture
def run(
    environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return command_runner(monkeypatch, capsys)


@pytest.fixture
def mood(client: Client, tmp_path: Path) -> str:
    client.register("mood", write_fake_adapter(tmp_path / "mood", ["sad", "glad"]))
    return "mood"


@pytest.fixture
def writers(client: Client, tmp_path: Path) -> list[str]:
    """Two tasks that generate."""
    for seed, name in enumerate(("letters", "replies")):
        head = {"kind": "generate", "format": "plain"}
        client.register(name, write_fake_adapter(tmp_path / name, head=head, seed=seed))
    return ["letters", "replies@1"]


# ---------------------------------------------------------------- archives


@pytest.mark.parametrize("packer", PACKERS)
def test_an_archive_is_registered_like_its_directory(
    client: Client, run: Run, tmp_path: Path, packer: str
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter", ["a", "b"], seed=7)
    archive = tmp_path / f"adapter.{packer}"
    archive.write_bytes(PACKERS[packer]({p.name: p.read_bytes() for p in adapter.iterdir()}))
    registered = run("adapters", "register", "packed", archive, "--json")
    assert registered.code == 0, registered.err
    assert client.register("packed", adapter).digest == registered.json()["digest"]
    assert client.register("packed", archive).already_published


def test_a_file_that_is_no_archive_is_refused_with_the_names_of_archives(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "adapter.bin").write_bytes(b"x")
    with pytest.raises(Refused, match=r"neither a directory nor an archive by its name: \.zip"):
        client.register("mood", tmp_path / "adapter.bin")
    with pytest.raises(Refused, match="There is no file adapter"):
        client.register("mood", tmp_path / "adapter.zip")


def test_a_server_without_a_hub_says_so(client: Client, run: Run, tmp_path: Path) -> None:
    ran = run("adapters", "register", "mood", "--from", "hf:lena/mood@main")
    assert ran.code == ExitCode.REFUSED
    assert "imports from no hub (import_hub)" in " ".join(ran.err.split())
    both = run("adapters", "register", "mood", tmp_path, "--from", "hf:lena/mood@main")
    assert both.code == ExitCode.USAGE


# ---------------------------------------------------------------- tar


def test_an_exported_tar_registers_as_the_same_digest(
    client: Client, run: Run, mood: str, tmp_path: Path
) -> None:
    ran = run("adapters", "export", mood, tmp_path / "out", "--as", "tar", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["files"] == [str(tmp_path / "out" / "mood-1.tar")]
    copy = client.register("copied", tmp_path / "out" / "mood-1.tar")
    assert copy.digest == client.version("mood@1").digest


def test_a_tar_is_the_same_bytes_each_time_and_over_http(
    run: Run, mood: str, server: RunningServer, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        run("adapters", "export", "mood@1", tmp_path / name, "--as", "tar")
    first = (tmp_path / "first" / "mood-1.tar").read_bytes()
    assert (tmp_path / "second" / "mood-1.tar").read_bytes() == first
    base = f"http://127.0.0.1:{server.ports.http}"
    assert httpx.get(f"{base}/v1/tasks/mood/versions/1/export").content == first
    with tarfile.open(tmp_path / "first" / "mood-1.tar") as archive:
        members = archive.getmembers()
    assert [each.name for each in members] == sorted(each.name for each in members)
    assert {(each.mtime, each.uid, each.gid, each.uname) for each in members} == {(0, 0, 0, "")}


def test_a_tar_that_cannot_be_written_leaves_nothing(run: Run, mood: str, tmp_path: Path) -> None:
    (tmp_path / "mood-1.tar").mkdir()
    ran = run("adapters", "export", mood, tmp_path, "--as", "tar")
    assert ran.code == ExitCode.REFUSED
    assert not (tmp_path / "mood-1.tar.partial").exists()


# ---------------------------------------------------------------- vllm


def test_one_directory_for_vllm_has_a_folder_for_each_ref(
    run: Run, writers: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "vllm"
    ran = run("adapters", "export", *writers, out, "--as", "vllm", "--base", "Qwen/Qwen3-0.6B")
    assert ran.code == 0, ran.err
    modules = json.loads((out / "lora-modules.json").read_text())
    assert [module["name"] for module in modules] == writers
    for module in modules:
        # what vLLM's resolver of a file system asks of a folder named for the model
        folder = out / module["name"]
        assert module["path"] == str(folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA"
        assert config["base_model_name_or_path"] == "Qwen/Qwen3-0.6B" == module["base_model_name"]
        assert (folder / "adapter_model.safetensors").is_file()
    arguments = (out / "vllm-args.txt").read_text().splitlines()
    assert arguments[:5] == ["--enable-lora", "--max-lora-rank", "8", "--max-loras", "2"]
    assert arguments[5:] == ["--lora-modules", *(f"{m['name']}={m['path']}" for m in modules)]


def test_what_vllm_would_serve_otherwise_is_refused_and_nothing_is_written(
    run: Run, writers: list[str], mood: str, tmp_path: Path
) -> None:
    ran = run("adapters", "export", *writers, mood, tmp_path / "vllm", "--as", "vllm")
    assert ran.code == ExitCode.REFUSED
    assert "mood@1 is a lora adapter with the head classify" in " ".join(ran.err.split())
    assert not (tmp_path / "vllm").exists()


def test_several_refs_are_for_layouts_that_hold_several(
    run: Run, writers: list[str], tmp_path: Path
) -> None:
    assert run("adapters", "export", *writers, tmp_path).code == ExitCode.USAGE
    assert run("adapters", "export", "mood", "mood", tmp_path, "--as", "tar").code == ExitCode.USAGE
