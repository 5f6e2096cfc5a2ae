from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.reader import check_directory
from adapters_registry.errors import (
    BadConfig,
    BadFileName,
    BadHeader,
    ForbiddenFile,
    MissingFile,
    PickledWeights,
    TooManyBytes,
)
from tests.registry.build import lora, write


def check(directory: Path, **limits: int) -> None:
    check_directory(directory, Limits(**limits))


def test_a_good_directory_passes(tmp_path: Path) -> None:
    check(
        write(tmp_path / "a", head__safetensors=lora(), manifest__json=b"{}", modules__json=b"[]")
    )


@pytest.mark.parametrize("name", ["adapter_config__json", "adapter_model__safetensors"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingFile, match=name.replace("__", r"\.")):
        check(write(tmp_path / "a", **{name: None}))


@pytest.mark.survival("A1")
@pytest.mark.parametrize("name", ["adapter_model.bin", "pytorch_adapter.bin", "adapter.pt"])
def test_pickled_weights_alone_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    directory = write(tmp_path / "a", adapter_model__safetensors=None)
    with pytest.raises(PickledWeights, match="safe_serialization=True"):
        check_directory(directory, Limits(), ["optimizer.pt", name])


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ("checkpoint-500/adapter_model.safetensors", "register that folder"),
        ("adapter_model-00001-of-00002.safetensors", "saved in shards"),
        ("optimizer.pt", "adapter_model.safetensors is missing$"),
    ],
)
def test_weights_that_are_elsewhere_are_pointed_at(
    tmp_path: Path, left_out: str, words: str
) -> None:
    directory = write(tmp_path / "a", adapter_model__safetensors=None)
    with pytest.raises(MissingFile, match=words):
        check_directory(directory, Limits(), [left_out])


def test_adapterhubs_names_are_read_as_they_are(tmp_path: Path) -> None:
    check(
        write(
            tmp_path / "a", adapter_model__safetensors=None, adapter__safetensors=lora(),
            model_head__safetensors=lora(), head_config__json=b"{}",
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", ["adapter__safetensors", "model_head__safetensors"])
def test_two_files_of_weights_are_refused(tmp_path: Path, name: str) -> None:
    files = {"head__safetensors": lora(), name: lora()}
    with pytest.raises(BadFileName, match="are both present"):
        check(write(tmp_path / "a", **files))


@pytest.mark.parametrize("name", ["head_config__json", "pooling_config__json", "modules__json"])
def test_documents_that_are_read_are_strict_json(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match=name.replace("__", r"\.")):
        check(write(tmp_path / "a", **{name: b'{"a":1,"a":2}'}))


@pytest.mark.parametrize("name", ["adapter_model__bin", "training_args__bin", "code__py", "x__pt"])
def test_a_forbidden_file_beside_the_weights_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ForbiddenFile):
        check(write(tmp_path / "a", **{name: b"x"}))


@pytest.mark.survival("A1")
@pytest.mark.parametrize("content", [b"\x80\x04\x95" + b"." * 20, b"PK\x03\x04" + b"." * 20])
def test_a_pickle_under_a_safetensors_name_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PickledWeights):
        check(write(tmp_path / "a", adapter_model__safetensors=content))


@pytest.mark.survival("A1")
def test_a_pickle_as_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PickledWeights, match=r"head\.safetensors"):
        check(write(tmp_path / "a", head__safetensors=b"\x80\x02" + b"." * 20))


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 8, b"random bytes"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadHeader):
        check(write(tmp_path / "a", adapter_model__safetensors=content))


@pytest.mark.parametrize("name", ["adapter_model__safetensors", "adapter_config__json"])
def test_what_a_clone_without_git_lfs_has_in_a_files_place_is_told(
    tmp_path: Path, name: str
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9\n"
    with pytest.raises(MissingFile, match="git lfs pull"):
        check(write(tmp_path / "a", **{name: pointer}))


@pytest.mark.survival("A18")
def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(lora())
    directory = write(tmp_path / "a", adapter_model__safetensors=None)
    (directory / "adapter_model.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(BadFileName, match="symbolic link"):
        check(directory)


def test_a_fifo_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    directory = write(tmp_path / "a", adapter_model__safetensors=None)
    os.mkfifo(directory / "adapter_model.safetensors")
    with pytest.raises(BadFileName, match="not a regular file"):
        check(directory)


def test_a_directory_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path / "a", adapter_model__safetensors=None)
    (directory / "adapter_model.safetensors").mkdir()
    with pytest.raises(BadFileName):
        check(directory)


@pytest.mark.survival("A12")
def test_a_file_over_the_cap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooManyBytes, match=r"adapter_model\.safetensors has"):
        check(write(tmp_path / "a"), max_file_bytes=100)


@pytest.mark.survival("A12")
def test_a_directory_over_the_byte_quota_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooManyBytes, match="the adapter has"):
        check(write(tmp_path / "a"), max_total_bytes=150)


def test_a_directory_of_too_many_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooManyBytes, match="at most 2 files"):
        check(write(tmp_path / "a", manifest__json=b"{}"), max_files=2)


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ("checkpoint-500/adapter_config.json", "register that folder"),
        ("model.safetensors", "holds a whole model"),
        ("model-00001-of-00002.safetensors", "holds a whole model"),
    ],
)
def test_a_folder_that_is_no_adapters_is_told_apart(
    tmp_path: Path, left_out: str, words: str
) -> None:
    directory = write(tmp_path / "a", adapter_config__json=None)
    with pytest.raises(MissingFile, match=words):
        check_directory(directory, Limits(), ["README.md", left_out])
