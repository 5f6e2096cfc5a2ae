"""What a directory for vLLM says of an adapter, and which adapters vLLM would compute otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from adapterd import Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.exports.fetched_version import FetchedVersion
from adapterd.cli.exports.vllm_layout import check_servable
from adapterd.errors import Refused
from adapterd.values import Version
from engine.testing.fake_engine import write_fake_adapter
from tests.client.commands import Run, command_runner
from tests.contracts.tiny import build_base


@pytest.fixture
def run(
    environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return command_runner(monkeypatch, capsys)


@pytest.fixture
def writer(client: Client, tmp_path: Path) -> str:
    head = {"kind": "generate", "format": "plain"}
    client.register("letters", write_fake_adapter(tmp_path / "letters", head=head))
    return "letters"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base("llama", tmp_path_factory.mktemp("base"))


def fetched(base: Path, folder: Path, **settings: Any) -> tuple[FetchedVersion, set[float]]:
    """A LoRA as PEFT saves it, and the scalings that PEFT gives its modules."""
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], r=4, **settings
    )
    tuned: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    tuned.save_pretrained(folder)
    scalings = {
        round(module.scaling["default"], 6)
        for module in tuned.modules()
        if hasattr(module, "lora_A")
    }
    version = Version(
        task="letters", version=1, digest="d", kind="lora", head="generate", labels=(),
        num_parameters=0, num_bytes=0, created_at=0.0, source="", aliases=(),
    )  # fmt: skip
    return FetchedVersion(ref="letters", version=version, paths=sorted(folder.iterdir())), scalings


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 8, "rank_pattern": {"q_proj": 2}},
        {"lora_alpha": 8, "alpha_pattern": {"down_proj": 16}},
        {"lora_alpha": 8, "alpha_pattern": {"layers.1.mlp.down_proj": 16}},
        {"lora_alpha": 8, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 4}},
        {"lora_alpha": 8, "use_rslora": True, "rank_pattern": {"q_proj": 16}},
    ],
)
def test_modules_that_vllm_would_scale_otherwise_are_refused(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    version, scalings = fetched(base, tmp_path, **settings)
    assert len(scalings) > 1
    with pytest.raises(Refused, match=r"letters@1 scales .* and vLLM scales all modules by"):
        check_servable(version)


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 8},
        {"lora_alpha": 8, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 4}},
        {"lora_alpha": 8, "alpha_pattern": {"q_proj": 8.0}},
        {"use_rslora": True, "rank_pattern": {"q_proj": 16}, "alpha_pattern": {"q_proj": 16}},
    ],
)
def test_patterns_that_scale_all_modules_alike_are_served(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    version, scalings = fetched(base, tmp_path, **settings)
    assert len(scalings) == 1
    check_servable(version)


def test_the_paths_are_those_where_vllm_sees_the_directory(
    run: Run, writer: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--as", "vllm", "--base", "acme/base", "--mounted-at", "/adapters")
    ran = run("adapters", "export", writer, out, *options)
    assert ran.code == 0, ran.err
    (module,) = json.loads((out / "lora-modules.json").read_text())
    assert module["path"] == "/adapters/letters"
    assert "letters=/adapters/letters" in (out / "vllm-args.txt").read_text()
    assert str(tmp_path) not in (out / "vllm-args.txt").read_text()


@pytest.mark.parametrize(
    "options", [("--as", "tar", "--mounted-at", "/x"), ("--as", "vllm", "--mounted-at", "x")]
)
def test_a_mount_is_an_absolute_path_and_for_vllm_alone(
    run: Run, writer: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ran = run("adapters", "export", writer, tmp_path / "out", *options)
    assert ran.code == ExitCode.USAGE
    assert "--mounted-at is an absolute path" in " ".join(ran.err.split())


def test_a_base_out_of_a_package_needs_the_name_that_vllm_has_for_it(
    run: Run, writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "info", lambda self: {"base": "package:some/model"})
    ran = run("adapters", "export", writer, tmp_path / "out", "--as", "vllm")
    assert ran.code == ExitCode.USAGE
    assert "package:some/model, which vLLM cannot load; pass --base" in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()
