from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.staging import Staging
from adapters_registry.errors import BadFileName, TooManyBytes
from adapters_registry.storage.disk import Disk

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
    "", ".", "..", "../adapter_config.json", "/etc/passwd", "a/../adapter_config.json",
    "..\\adapter_config.json", "a//b", "a/", "C:adapter_config.json",
    "adapter_config.json\x00.bin", "adapter_config.json\n", "x" * 2000,
]  # fmt: skip


@pytest.mark.survival("A18")
@pytest.mark.parametrize("name", PATH_TRICKS)
def test_a_path_trick_in_a_file_name_is_refused(staging: Staging, name: str) -> None:
    with pytest.raises(BadFileName):
        staging.write(name, [b"x"])
    assert list(staging.path.iterdir()) == []


#: what Trainer, TRL, LLaMA-Factory, sentence-transformers and hub clones leave beside an adapter
LEFT = [
    "optimizer.pt", "rng_state.pth", "scheduler.pt", "training_args.bin", "trainer_log.jsonl",
    "all_results.json", "training_loss.png", "README.md", "tokenizer.json", "chat_template.jinja",
    "config.json", "adapter_model.bin", "model.safetensors", "model.PKL", ".gitattributes",
    "sentence_bert_config.json", "events.out.tfevents.17.host.1.0", "loss (1).png",
    "r\u00e9sum\u00e9.md", "Adapter_Config.json", "%2e%2e", "adapter\u2024config.json",
    " adapter_config.json",
]  # fmt: skip


@pytest.mark.survival("A14")
@pytest.mark.parametrize("name", LEFT)
def test_whatever_is_no_file_of_an_adapter_is_left_out_and_listed(
    staging: Staging, name: str
) -> None:
    staging.write(name, [b"x"])
    assert (staging.left_out, list(staging.path.iterdir())) == ([name], [])


@pytest.mark.survival("A1", "A15")
@pytest.mark.parametrize("name", ["modeling.py", "evil.so", "setup.sh", "adapter_model.bin"])
def test_code_and_pickles_are_never_stored(staging: Staging, name: str) -> None:
    staging.write(name, [b"import os"])
    assert (staging.left_out, list(staging.path.iterdir())) == ([name], [])


def test_a_folder_is_listed_once_whatever_is_in_it(staging: Staging) -> None:
    for name in (".git/config", ".git/objects/ab/cd", "checkpoint-5/adapter_config.json"):
        staging.write(name, [b"x"])
    assert staging.left_out == [".git/", "checkpoint-5/"]
    assert list(staging.path.iterdir()) == []


def test_how_sentence_transformers_pools_is_stored_under_a_plain_name(staging: Staging) -> None:
    staging.write("1_Pooling/config.json", [b"{}"])
    assert [path.name for path in staging.path.iterdir()] == ["pooling_config.json"]


def test_a_long_list_of_what_is_left_out_is_cut(tmp_path: Path) -> None:
    with Staging(tmp_path, Limits(), Disk()) as staging:
        for number in range(250):
            staging.write(f"{number}.png", [])
        assert len(staging.left_out) == 201
        assert staging.left_out[-1] == "and 50 more"


def test_the_number_of_files_left_out_has_a_cap(tmp_path: Path) -> None:
    with Staging(tmp_path, Limits(max_left_out=3), Disk()) as staging:
        for number in range(3):
            staging.write(f"{number}.png", [])
        with pytest.raises(TooManyBytes, match="more than 3 files"):
            staging.write("4.png", [])


def test_a_file_sent_twice_is_refused(staging: Staging) -> None:
    staging.write("adapter_config.json", [b"{}"])
    with pytest.raises(BadFileName, match="sent twice"):
        staging.write("adapter_config.json", [b"{}"])


@pytest.mark.survival("A12")
def test_a_file_over_its_cap_is_stopped_while_it_arrives(staging: Staging) -> None:
    chunks = iter([b"x" * 60] * 1000)
    with pytest.raises(TooManyBytes, match="larger than 100 bytes"):
        staging.write("adapter_model.safetensors", chunks)
    assert len(list(chunks)) == 998
    assert list(staging.path.iterdir()) == []


@pytest.mark.survival("A12")
def test_all_files_together_have_a_cap(staging: Staging) -> None:
    staging.write("adapter_model.safetensors", [b"x" * 90])
    with pytest.raises(TooManyBytes, match="larger than 150 bytes"):
        staging.write("head.safetensors", [b"x" * 90])


def test_what_is_left_out_counts_towards_the_cap_too(staging: Staging) -> None:
    with pytest.raises(TooManyBytes):
        staging.write("README.md", [b"x" * 101])


def test_the_number_of_files_has_a_cap(staging: Staging) -> None:
    for name in ("manifest.json", "head.safetensors", "modules.json"):
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
