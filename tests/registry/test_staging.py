from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters_registry.disk import Disk
from adapters_registry.errors import BadFileName, ForbiddenFile, TooManyBytes
from adapters_registry.limits import Limits
from adapters_registry.staging import Staging

LIMITS = Limits(max_file_bytes=100, max_total_bytes=150, max_files=3)


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    with Staging(tmp_path / "staging", LIMITS, Disk()) as opened:
        yield opened


def test_a_written_file_lies_in_the_staging_directory(staging: Staging) -> None:
    staging.write("adapter_config.json", [b"{", b"}"])
    assert (staging.path / "adapter_config.json").read_bytes() == b"{}"


def test_the_directory_goes_when_the_block_ends(tmp_path: Path) -> None:
    with Staging(tmp_path, LIMITS, Disk()) as staging:
        staging.write("adapter_config.json", [b"{}"])
    assert list(tmp_path.iterdir()) == []


def test_removing_twice_is_removing_once(tmp_path: Path) -> None:
    staging = Staging(tmp_path, LIMITS, Disk())
    staging.remove()
    staging.remove()


PATH_TRICKS = [
    "", ".", "..", "../adapter_config.json", "/etc/passwd", "a/adapter_config.json",
    "..\\adapter_config.json",
    "C:adapter_config.json", "adapter_config.json\x00.bin", "adapter_config.json\n",
    "adapter_config..json",
    "adapter\u2024config.json", "%2e%2e", "x" * 200, " adapter_config.json",
]  # fmt: skip


@pytest.mark.parametrize("name", PATH_TRICKS)
def test_a_path_trick_in_a_file_name_is_refused(staging: Staging, name: str) -> None:
    with pytest.raises((BadFileName, ForbiddenFile)):
        staging.write(name, [b"x"])
    assert list(staging.path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "model.pt", "x.ckpt", "x.PKL", "x.pickle", "training_args.bin"]
)
def test_pickled_weights_are_refused_by_name(staging: Staging, name: str) -> None:
    with pytest.raises(ForbiddenFile, match="never from pickles"):
        staging.write(name, [b"x"])


@pytest.mark.parametrize("name", ["modeling.py", "evil.so", "setup.sh"])
def test_code_is_refused_by_name(staging: Staging, name: str) -> None:
    with pytest.raises(ForbiddenFile, match="brings no code"):
        staging.write(name, [b"x"])


@pytest.mark.parametrize("name", ["Adapter_Config.json", "con", "other.safetensors", ".netrc"])
def test_any_other_file_is_refused_with_the_list_of_names(staging: Staging, name: str) -> None:
    with pytest.raises(ForbiddenFile, match=r"adapter_config\.json, adapter_model\.safetensors"):
        staging.write(name, [b"x"])


@pytest.mark.parametrize("name", ["README.md", "tokenizer.json", "chat_template.jinja"])
def test_documents_are_kept_out_and_recorded(staging: Staging, name: str) -> None:
    staging.write(name, [b"x"])
    assert (staging.kept_out, list(staging.path.iterdir())) == ([name], [])


def test_a_file_sent_twice_is_refused(staging: Staging) -> None:
    staging.write("adapter_config.json", [b"{}"])
    with pytest.raises(BadFileName, match="sent twice"):
        staging.write("adapter_config.json", [b"{}"])


def test_a_file_over_its_cap_is_stopped_while_it_arrives(staging: Staging) -> None:
    chunks = iter([b"x" * 60] * 1000)
    with pytest.raises(TooManyBytes, match="larger than 100 bytes"):
        staging.write("adapter_model.safetensors", chunks)
    assert len(list(chunks)) == 998
    assert list(staging.path.iterdir()) == []


def test_all_files_together_have_a_cap(staging: Staging) -> None:
    staging.write("adapter_model.safetensors", [b"x" * 90])
    with pytest.raises(TooManyBytes, match="larger than 150 bytes"):
        staging.write("head.safetensors", [b"x" * 90])


def test_documents_count_towards_the_cap_too(staging: Staging) -> None:
    with pytest.raises(TooManyBytes):
        staging.write("README.md", [b"x" * 101])


def test_the_number_of_files_has_a_cap(staging: Staging) -> None:
    for name in ("README.md", "vocab.txt", "merges.txt"):
        staging.write(name, [])
    with pytest.raises(TooManyBytes, match="at most 3 files"):
        staging.write("adapter_config.json", [b"{}"])


def test_a_sender_that_hangs_up_leaves_no_file_and_its_own_error(staging: Staging) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        staging.write("adapter_model.safetensors", chunks())
    assert list(staging.path.iterdir()) == []
