"""Where a base comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from engine.errors import BadBase
from engine.model.source import base_path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution `tiny-weights` whose package `tiny_carrier` holds a folder `base`."""
    folder = tmp_path / "tiny_carrier" / "base"
    folder.mkdir(parents=True)
    (tmp_path / "tiny_carrier" / "__init__.py").touch()
    about = tmp_path / "tiny_weights-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("tiny_carrier\n")
    (about / "RECORD").write_text("tiny_carrier/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_carrier", raising=False)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[str]]]:
    """A hub that gives `tmp_path` for everything; what it was asked for."""
    asked: list[tuple[str, list[str]]] = []

    def snapshot_download(repo: str, allow_patterns: list[str]) -> str:
        asked.append((repo, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_a_folder_is_itself(tmp_path: Path) -> None:
    assert base_path(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["tiny_carrier", "tiny-weights", "Tiny_Weights"])
def test_a_package_is_found_by_import_name_and_by_distribution_name(
    installed: Path, name: str
) -> None:
    assert base_path(f"package:{name}/base") == installed


def test_a_package_without_a_path_is_its_own_folder(installed: Path) -> None:
    assert base_path("package:tiny_carrier") == installed.parent


@pytest.mark.parametrize("path", ["nowhere", "__init__.py"])
def test_a_package_without_that_folder_says_which_folder(installed: Path, path: str) -> None:
    with pytest.raises(
        BadBase, match=f"no installed package tiny_carrier has a folder or GGUF file {path}"
    ):
        base_path(f"package:tiny_carrier/{path}")


def test_a_missing_package_says_what_to_do() -> None:
    with pytest.raises(BadBase, match=r"no installed package not-here .* install it with pip"):
        base_path("package:not-here/base")


@pytest.mark.parametrize("base", ["./nowhere", "/nowhere/at/all", "a/b/c"])
def test_a_missing_folder_is_named_and_no_hub_is_asked(
    hub: list[tuple[str, list[str]]], base: str
) -> None:
    with pytest.raises(BadBase, match=f"there is no folder {base}"):
        base_path(base)
    assert hub == []


def test_a_gguf_file_is_itself_on_disk_and_inside_a_package(installed: Path) -> None:
    file = installed / "model.gguf"
    file.touch()
    assert base_path(str(file)) == file
    assert base_path("package:tiny_carrier/base/model.gguf") == file


def test_a_missing_gguf_file_is_named_and_no_hub_is_asked(
    hub: list[tuple[str, list[str]]],
) -> None:
    with pytest.raises(BadBase, match=r"there is no GGUF file model\.gguf"):
        base_path("model.gguf")
    assert hub == []


def test_a_hub_id_is_fetched_without_pickles(
    hub: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    assert base_path("someone/some-base") == tmp_path
    ((repo, patterns),) = hub
    assert repo == "someone/some-base"
    assert "*.safetensors" in patterns
    assert not {"*.bin", "*.pt", "*", "*.py"} & set(patterns)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LocalEntryNotFoundError("no connection\nand more"), "no connection"),
        (OSError("disk full"), "disk full"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_hub_that_fails_is_one_sentence_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(BadBase) as caught:
        base_path("someone/some-base")
    assert str(caught.value) == (
        f"someone/some-base is neither a folder nor a base the hub gave us: {reason}"
    )
