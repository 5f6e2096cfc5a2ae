"""Archives of adapters: what is unpacked, and the tricks that refuse a whole archive."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.archives.unpack import is_archive_name, unpack
from adapters_registry.errors import BadArchive, BadArtifact, BadFileName
from adapters_registry.storage.disk import Disk
from tests.registry.archive_builder import (
    ADAPTER,
    PACKERS,
    member,
    tar_entries,
    tar_of,
    zip_entries,
    zip_of,
)

LIMITS = Limits()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[bytes], list[str]]:
    """Unpacks into `tmp_path / "target"`; the names that were left out."""
    target = tmp_path / "target"
    target.mkdir()

    def run(archive: bytes, limits: Limits = LIMITS) -> list[str]:
        path = tmp_path / "archive"
        path.write_bytes(archive)
        return unpack(path, target, limits, Disk())

    return run


Unpack = Callable[..., list[str]]


def files_in(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "target").iterdir()}


def refuse(unpacked: Unpack, archive: bytes, tmp_path: Path) -> BadArtifact:
    with pytest.raises(BadArtifact) as refused:
        unpacked(archive)
    assert files_in(tmp_path) == {}
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "target"}
    return refused.value


# ---------------------------------------------------------------- what is unpacked


@pytest.mark.parametrize("packer", PACKERS)
def test_every_format_gives_the_same_files(unpacked: Unpack, tmp_path: Path, packer: str) -> None:
    assert unpacked(PACKERS[packer](ADAPTER)) == []
    assert files_in(tmp_path) == ADAPTER


@pytest.mark.parametrize("packer", PACKERS)
def test_an_adapter_may_lie_in_a_folder(unpacked: Unpack, tmp_path: Path, packer: str) -> None:
    files = {f"my lora/{name}": content for name, content in ADAPTER.items()}
    left_out = unpacked(PACKERS[packer]({**files, "my lora/README.md": b"#", "notes.txt": b"x"}))
    assert files_in(tmp_path) == ADAPTER
    assert sorted(left_out) == ["README.md", "notes.txt"]


def test_a_tar_of_the_working_directory_is_read(unpacked: Unpack, tmp_path: Path) -> None:
    """As `tar czf adapter.tgz -C adapter .` names its entries."""
    folder = (member("./", kind=tarfile.DIRTYPE), b"")
    files = [(member(f"./{name}", content), content) for name, content in ADAPTER.items()]
    assert unpacked(tar_entries([folder, *files], tarfile.GNU_FORMAT)) == []
    assert files_in(tmp_path) == ADAPTER


def test_a_checkpoint_beside_the_adapter_is_left_out(unpacked: Unpack, tmp_path: Path) -> None:
    checkpoint = {f"run/checkpoint-5/{name}": b"{}" for name in ADAPTER}
    left_out = unpacked(
        zip_of({**checkpoint, **{f"run/{name}": each for name, each in ADAPTER.items()}})
    )
    assert files_in(tmp_path) == ADAPTER
    assert sorted(left_out) == [f"checkpoint-5/{name}" for name in sorted(ADAPTER)]


def test_the_pooling_of_sentence_transformers_is_unpacked(unpacked: Unpack, tmp_path: Path) -> None:
    unpacked(zip_of({**ADAPTER, "1_Pooling/config.json": b"{}"}))
    assert files_in(tmp_path) == {**ADAPTER, "pooling_config.json": b"{}"}


def test_an_archive_of_several_adapters_is_refused_by_their_names(
    unpacked: Unpack, tmp_path: Path
) -> None:
    both = {f"{folder}/{name}": b"{}" for folder in ("mail", "mood") for name in ADAPTER}
    assert "2 adapters (mail, mood)" in str(refuse(unpacked, zip_of(both), tmp_path))


def test_long_names_of_either_kind_of_tar_are_read(unpacked: Unpack, tmp_path: Path) -> None:
    files = {f"{'deep-folder/' * 25}{name}": content for name, content in ADAPTER.items()}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        unpacked(tar_of(files, form))
        assert files_in(tmp_path) == ADAPTER
        for path in (tmp_path / "target").iterdir():
            path.unlink()


def test_an_archive_is_known_by_its_name() -> None:
    names = ["a.zip", "A.ZIP", "a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.gz", "zip", "a.bin"]
    assert [is_archive_name(name) for name in names] == [True] * 6 + [False] * 3


# ---------------------------------------------------------------- names

PATH_TRICKS = [
    "../evil", "a/../../evil", "/etc/passwd", "//server/share", "C:evil", "C:\\evil",
    "\\\\server\\share", "a\\b", "a\nb", "a//b", "a/./b", "x" * 1100, "y/" * 600 + "z",
    "\u202egnp.exe",
]  # fmt: skip


@pytest.mark.survival("A16")
@pytest.mark.parametrize("pack", [zip_of, tar_of, PACKERS["gnu.tar"]])
@pytest.mark.parametrize("name", PATH_TRICKS)
def test_a_name_that_is_no_path_inside_refuses_the_whole_archive(
    unpacked: Unpack, tmp_path: Path, pack: Callable[..., bytes], name: str
) -> None:
    assert isinstance(refuse(unpacked, pack({**ADAPTER, name: b"x"}), tmp_path), BadFileName)


def _with_nul_in_zip() -> bytes:
    return zip_of({**ADAPTER, "evil-name": b"x"}).replace(b"evil-name", b"evil\0name")


def _with_nul_in_tar() -> bytes:
    archive = bytearray(tar_of({"evil-name": b"", **ADAPTER}))
    archive[4] = 0
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    return bytes(archive)


@pytest.mark.survival("A16")
@pytest.mark.parametrize(
    "archive",
    [
        _with_nul_in_zip(),
        _with_nul_in_tar(),
        tar_of({**ADAPTER, f"{'long' * 40}\0name": b"x"}, tarfile.PAX_FORMAT),
    ],
    ids=["zip", "tar", "pax"],
)
def test_a_nul_in_a_name_refuses_the_whole_archive(
    unpacked: Unpack, tmp_path: Path, archive: bytes
) -> None:
    refuse(unpacked, archive, tmp_path)


CLASHES = [
    ["README.md", "README.md"],
    ["adapter_model.safetensors"],
    ["Adapter_Model.safetensors"],
    ["readme", "README"],
    ["a/x", "A/y"],
    ["re\u0301sume\u0301", "r\u00e9sum\u00e9"],
    ["a", "a/b"],
    ["1_Pooling/config.json", "2_Pooling/config.json"],
]


@pytest.mark.survival("A16")
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", CLASHES)
def test_names_that_clash_refuse_the_whole_archive(
    unpacked: Unpack, tmp_path: Path, names: list[str]
) -> None:
    files = [*ADAPTER.items(), *((name, b"x") for name in names)]
    refuse(unpacked, zip_entries(files), tmp_path)
    entries = [(member(name, content), content) for name, content in files]
    refuse(unpacked, tar_entries(entries), tmp_path)


# ---------------------------------------------------------------- kinds of entries

TAR_KINDS = {
    "symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "FIFO": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE, "block device": tarfile.BLKTYPE,
    "contiguous file": tarfile.CONTTYPE, "sparse file": tarfile.GNUTYPE_SPARSE, "unknown": b"V",
}  # fmt: skip


@pytest.mark.survival("A16")
@pytest.mark.parametrize("kind", TAR_KINDS)
def test_a_tar_with_anything_but_files_and_folders_is_refused(
    unpacked: Unpack, tmp_path: Path, kind: str
) -> None:
    info = member("evil", kind=TAR_KINDS[kind])
    info.linkname = "/etc/passwd"
    files = [(member(name, content), content) for name, content in ADAPTER.items()]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = tar_entries([*files, (info, b"")], form)
        assert isinstance(refuse(unpacked, archive, tmp_path), BadArchive)


@pytest.mark.survival("A16")
@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_a_zip_with_anything_but_files_and_folders_is_refused(
    unpacked: Unpack, tmp_path: Path, kind: int
) -> None:
    info = zipfile.ZipInfo("evil")
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    refuse(unpacked, zip_entries([*ADAPTER.items(), (info, b"/etc/passwd")]), tmp_path)


def test_an_encrypted_entry_is_refused(unpacked: Unpack, tmp_path: Path) -> None:
    archive = bytearray(zip_of())
    at = archive.index(b"PK\1\2") + 8
    archive[at] |= 1
    assert "encrypted" in str(refuse(unpacked, bytes(archive), tmp_path))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_takes_any_memory_is_refused(
    unpacked: Unpack, tmp_path: Path, method: int
) -> None:
    assert f"method {method}" in str(refuse(unpacked, zip_of(ADAPTER, method), tmp_path))


# ---------------------------------------------------------------- whole or not at all


@pytest.mark.parametrize("packer", PACKERS)
def test_an_archive_that_was_cut_anywhere_is_refused(
    unpacked: Unpack, tmp_path: Path, packer: str
) -> None:
    archive = PACKERS[packer]({**ADAPTER, "head.safetensors": bytes(range(256)) * 4})
    needed = len(archive.rstrip(b"\0")) if packer.endswith("tar") else len(archive)
    for num_bytes in range(0, needed - 1, 101):
        refuse(unpacked, archive[:num_bytes], tmp_path)


@pytest.mark.parametrize(
    "archive",
    [b"", b"MZ" * 600, zip_of({}), tar_of({}), zip_of() + b"more", b"#!/bin/sh\n" + zip_of()],
)
def test_what_is_no_archive_or_more_than_one_is_refused(
    unpacked: Unpack, tmp_path: Path, archive: bytes
) -> None:
    refuse(unpacked, archive, tmp_path)


def test_bytes_behind_the_end_of_a_tar_are_refused(unpacked: Unpack, tmp_path: Path) -> None:
    second = tar_of({"adapter_model.safetensors": b"other"})
    assert "behind its end" in str(refuse(unpacked, tar_of() + second, tmp_path))


def test_a_damaged_header_is_not_taken_for_the_end(unpacked: Unpack, tmp_path: Path) -> None:
    files = {**ADAPTER, "head.safetensors": b"x"}
    archive = tar_of(files)
    at = archive.index(b"head.safetensors")
    refuse(unpacked, archive[:at] + b"HEAD" + archive[at + 4 :], tmp_path)


def test_a_changed_byte_of_a_zip_is_refused(unpacked: Unpack, tmp_path: Path) -> None:
    archive = bytearray(zip_of(ADAPTER, zipfile.ZIP_STORED))
    archive[archive.index(b"LORA")] ^= 1
    with pytest.raises(BadArchive, match="CRC"):
        unpacked(bytes(archive))


def test_a_file_that_is_named_otherwise_in_the_directory_is_refused(
    unpacked: Unpack, tmp_path: Path
) -> None:
    archive = zip_of(ADAPTER)
    at = archive.index(b"adapter_model")
    renamed = archive[:at] + b"ADAPTER_MODEL" + archive[at + 13 :]
    with pytest.raises(BadArchive, match="differ"):
        unpacked(renamed)


# ---------------------------------------------------------------- bombs

SMALL = Limits(
    max_file_bytes=50_000, max_total_bytes=80_000, free_unpacked_bytes=20_000, max_entries=20
)


@pytest.mark.survival("A17")
@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt"])
def test_an_archive_stops_at_the_cap_of_what_it_unpacks_to(
    unpacked: Unpack, packer: str, name: str
) -> None:
    with pytest.raises(BadArtifact) as refused:
        unpacked(PACKERS[packer]({**ADAPTER, name: bytes(100_000)}), SMALL)
    assert refused.value.code == "too_many_bytes"


@pytest.mark.survival("A17")
@pytest.mark.parametrize("packer", ["zip", "tar.gz", "tar.zst"])
def test_an_archive_that_unpacks_to_many_times_its_size_is_refused(
    unpacked: Unpack, packer: str
) -> None:
    archive = PACKERS[packer]({**ADAPTER, "head.safetensors": bytes(45_000)})
    unpacked(archive, SMALL)
    with pytest.raises(BadArtifact, match="more than 20000 bytes"):
        unpacked(archive, replace(SMALL, max_unpacking_ratio=10))


@pytest.mark.survival("A17")
@pytest.mark.parametrize("packer", PACKERS)
def test_a_flood_of_entries_is_refused(unpacked: Unpack, tmp_path: Path, packer: str) -> None:
    files = {**ADAPTER, **{f"{number}": b"" for number in range(30)}}
    with pytest.raises(BadArtifact, match="at most 20 entries"):
        unpacked(PACKERS[packer](files), SMALL)
    assert files_in(tmp_path) == {}


@pytest.mark.survival("A17")
def test_an_archive_in_an_archive_stays_closed(unpacked: Unpack, tmp_path: Path) -> None:
    bomb = zip_of({"adapter_model.safetensors": bytes(10_000_000)})
    assert unpacked(zip_of({**ADAPTER, "inner.zip": bomb})) == ["inner.zip"]
    assert files_in(tmp_path) == ADAPTER


@pytest.mark.survival("A17")
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_names_that_lie_deep_refuse_the_whole_archive(
    unpacked: Unpack, tmp_path: Path, pack: Callable[..., bytes]
) -> None:
    """All parents of a name are compared, so a small archive of deep ones took half a minute."""
    deepest = "a/" * 31 + "notes.txt"
    assert unpacked(pack({**ADAPTER, deepest: b"x"})) == [deepest]
    for path in (tmp_path / "target").iterdir():
        path.unlink()
    refused = refuse(unpacked, pack({**ADAPTER, f"a/{deepest}": b"x"}), tmp_path)
    assert isinstance(refused, BadFileName)
    assert "33 levels deep; 32 are the most" in str(refused)


def _hidden_zip64(num_entries: int) -> bytes:
    """Its classic end says that there is one entry; zip64's, which `zipfile` prefers, says more."""
    archive = zip_of({**ADAPTER, **{f"{number}": b"" for number in range(num_entries)}})
    end = archive.rindex(b"PK\5\6")
    num, size, start = struct.unpack_from("<HLL", archive, end + 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, num, num, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    classic = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0, end + len(record + locator), 0)
    return archive[:end] + record + locator + classic


@pytest.mark.survival("A17")
def test_a_zip64_directory_is_refused_before_it_is_read(
    unpacked: Unpack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = _hidden_zip64(30)
    assert len(zipfile.ZipFile(io.BytesIO(archive)).infolist()) == 30 + len(ADAPTER)
    opened: list[object] = []
    monkeypatch.setattr(zipfile, "ZipFile", opened.append)
    assert "zip64" in str(refuse(unpacked, archive, tmp_path))
    assert opened == []


def _lying_zip(real: int, said: int) -> bytes:
    """The sizes of the weights in the directory and before the entry say `said`."""
    archive = bytearray(zip_of({**ADAPTER, "head.safetensors": bytes(real)}))
    at, place = archive.rindex(b"head.safetensors"), archive.index(b"head.safetensors")
    for size_at in (at - 22, place - 8):
        assert struct.unpack_from("<L", archive, size_at) == (real,)
        struct.pack_into("<L", archive, size_at, said)
    return bytes(archive)


@pytest.mark.survival("A17")
@pytest.mark.parametrize("said", [10, 5_000_000])
def test_a_zip_that_lies_about_a_size_is_refused(unpacked: Unpack, said: int) -> None:
    with pytest.raises(BadArtifact):
        unpacked(_lying_zip(1_000_000, said))


@pytest.mark.survival("A17")
def test_entries_that_share_their_bytes_are_refused(unpacked: Unpack, tmp_path: Path) -> None:
    """As in bombs without nesting: each entry of the directory names the same place."""
    archive = bytearray(zip_of({"first": bytes(5000), "other": bytes(5000)}))
    start, second = archive.index(b"PK\1\2"), archive.rindex(b"PK\1\2")
    archive[second + 42 : second + 46] = archive[start + 42 : start + 46]
    assert "shares its bytes" in str(refuse(unpacked, bytes(archive), tmp_path))


@pytest.mark.survival("A17")
def test_a_tar_header_of_any_size_is_not_taken_into_memory(
    unpacked: Unpack, tmp_path: Path
) -> None:
    info = member("x", kind=tarfile.XHDTYPE)
    info.size = 2**40
    refuse(unpacked, info.tobuf(tarfile.GNU_FORMAT), tmp_path)


@pytest.mark.survival("A17")
def test_a_zip_directory_that_says_less_than_it_has_is_refused(
    unpacked: Unpack, tmp_path: Path
) -> None:
    archive = bytearray(zip_of())
    archive[-14:-10] = struct.pack("<HH", 1, 1)
    assert "says that it has 1 entries" in str(refuse(unpacked, bytes(archive), tmp_path))
