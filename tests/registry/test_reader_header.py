from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from adapters_registry.adapter_files.header import Header
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.reader import check_weights
from adapters_registry.errors import BadArtifact, BadHeader, BadTensor, NonFiniteTensor
from tests.registry.build import entry, lora, raw

ENTRY = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
FOUR = b"\x00" * 4


def check(directory: Path, content: bytes, **limits: int) -> Header:
    path = directory / "adapter_model.safetensors"
    path.write_bytes(content)
    return check_weights(path, Limits(**limits))


def test_a_file_of_the_safetensors_library_is_read(tmp_path: Path) -> None:
    content = save(
        {"b": np.ones((2, 3), np.float32), "a": np.ones(4, np.float16)}, {"format": "pt"}
    )
    shapes = {tensor.name: tensor.shape for tensor in check(tmp_path, content).tensors}
    assert shapes == {"a": (4,), "b": (2, 3)}


def test_a_scalar_is_read(tmp_path: Path) -> None:
    assert check(tmp_path, raw({"a": entry(shape=())}, FOUR)).tensors[0].shape == ()


@pytest.mark.survival("A2")
@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**9, 4096])
def test_a_header_longer_than_the_file_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(BadHeader, match=f"claims {length} bytes"):
        check(tmp_path, raw({"a": entry()}, FOUR, length=length))


@pytest.mark.survival("A2")
def test_a_header_over_the_cap_is_refused_although_the_file_has_it(tmp_path: Path) -> None:
    padded = b'{"a":' + b" " * (1 << 20) + b"}"
    with pytest.raises(BadHeader, match="at most 1048576 are read"):
        check(tmp_path, raw(padded))


@pytest.mark.survival("A3")
def test_too_many_tensors_are_refused(tmp_path: Path) -> None:
    header = {f"t{n}": entry(begin=4 * n, end=4 * n + 4) for n in range(11)}
    with pytest.raises(BadHeader, match="11 tensors; at most 10"):
        check(tmp_path, raw(header, FOUR * 11), max_tensors=10)


def test_a_version_without_weights_has_a_file_without_tensors(tmp_path: Path) -> None:
    assert check(tmp_path, raw({})).tensors == ()


@pytest.mark.survival("A6")
@pytest.mark.parametrize(
    "text",
    [
        b'{"a": ' + ENTRY + b', "a": ' + ENTRY + b"}",
        b'{"a": {"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
)
def test_duplicate_keys_are_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadHeader, match="twice"):
        check(tmp_path, raw(text, FOUR))


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"{}{}",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"\xff": 1}',
        rb'{"\ud800": 1}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=["cut", "two", "nan", "inf", "utf8", "surrogate", "deep", "long number"],
)
def test_a_header_that_is_no_strict_json_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadHeader):
        check(tmp_path, raw(text))


def test_metadata_must_map_names_to_strings(tmp_path: Path) -> None:
    with pytest.raises(BadHeader, match="__metadata__"):
        check(tmp_path, raw({"__metadata__": {"a": 1}, "a": entry()}, FOUR))


@pytest.mark.survival("A4")
def test_a_hole_between_tensors_is_refused(tmp_path: Path) -> None:
    header = {"a": entry(), "b": entry(begin=8, end=12)}
    with pytest.raises(BadTensor, match="a hole before tensor b"):
        check(tmp_path, raw(header, FOUR * 3))


@pytest.mark.survival("A4")
def test_a_hole_before_the_first_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTensor, match="a hole before tensor a"):
        check(tmp_path, raw({"a": entry(begin=4, end=8)}, FOUR * 2))


@pytest.mark.survival("A4")
def test_overlapping_tensors_are_refused(tmp_path: Path) -> None:
    header = {"a": entry(), "b": entry(begin=2, end=6)}
    with pytest.raises(BadTensor, match="an overlap at tensor b"):
        check(tmp_path, raw(header, b"\x00" * 6))


@pytest.mark.survival("A4")
def test_trailing_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTensor, match="need 4 bytes of data, the file has 10"):
        check(tmp_path, raw({"a": entry()}, FOUR + b"PK\x03\x04.."))


@pytest.mark.survival("A4")
def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTensor, match="the file has"):
        check(tmp_path, lora()[:-1])


@pytest.mark.survival("A5")
@pytest.mark.parametrize("dtype", ["F8_E4M3", "I64", "BOOL", "evil", 7, None])
def test_a_dtype_outside_the_list_is_refused(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(BadTensor, match="dtype"):
        check(tmp_path, raw({"a": entry(dtype=dtype)}, FOUR))


@pytest.mark.survival("A5")
@pytest.mark.parametrize(
    "shape",
    [[-1], [0], [1, 0], [2**40], [True], [1.0], "1", None, {}, [1] * 9, [2**31] * 8],
    ids=str,
)
def test_a_shape_that_cannot_be_is_refused(tmp_path: Path, shape: object) -> None:
    with pytest.raises(BadTensor):
        check(tmp_path, raw({"a": entry(shape=shape)}, FOUR))


@pytest.mark.survival("A5")
def test_a_shape_that_needs_other_bytes_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTensor, match=r"shape \[2\] and F32 needs 8 bytes, has 4"):
        check(tmp_path, raw({"a": entry(shape=[2])}, FOUR))


@pytest.mark.survival("A5")
@pytest.mark.parametrize("offsets", [[4, 0], [-4, 0], [0], [0, 4, 8], [0.0, 4.0], None])
def test_offsets_that_are_no_range_are_refused(tmp_path: Path, offsets: object) -> None:
    with pytest.raises(BadTensor, match="data_offsets"):
        check(tmp_path, raw({"a": entry() | {"data_offsets": offsets}}, FOUR))


@pytest.mark.parametrize("value", [1, [], {}, {"dtype": "F32"}, entry() | {"more": 1}], ids=str)
def test_an_entry_with_other_fields_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(BadTensor, match="exactly"):
        check(tmp_path, raw({"a": value}, FOUR))


@pytest.mark.parametrize("name", ["", "../a", "a b", "a\x00", "é", "a" * 600])
def test_a_tensor_name_outside_the_grammar_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadTensor, match="tensor name"):
        check(tmp_path, raw({name: entry()}, FOUR))


BAD = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.survival("A7")
@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_value_that_is_not_finite_is_refused(tmp_path: Path, dtype: type, value: float) -> None:
    values = np.ones(7, dtype)
    values[5] = value
    with pytest.raises(NonFiniteTensor, match="tensor b"):
        check(tmp_path, save({"a": np.ones(3, dtype), "b": values}))


@pytest.mark.parametrize("value", BAD)
def test_a_bf16_value_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    data = struct.pack("<f", 1.0)[2:] + struct.pack("<f", value)[2:]
    with pytest.raises(NonFiniteTensor):
        check(tmp_path, raw({"a": entry(dtype="BF16", shape=[2])}, data))


def test_the_largest_and_smallest_finite_values_pass(tmp_path: Path) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        info = np.finfo(dtype)
        extremes = np.array([info.max, info.min, info.smallest_subnormal, -0.0], dtype)
        check(tmp_path, save({"a": extremes}))
    check(tmp_path, raw({"a": entry(dtype="BF16", shape=[2])}, b"\x7f\x7f\x7f\xff"))


@pytest.mark.survival("A7")
def test_a_bad_value_behind_the_first_chunk_is_found(tmp_path: Path) -> None:
    values = np.zeros(3_000_000, np.float32)
    values[-1] = np.nan
    with pytest.raises(NonFiniteTensor):
        check(tmp_path, save({"a": values}))


@pytest.mark.survival("A5")
@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(lora()) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_any_damage_is_read_or_refused_with_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int, cut: bool
) -> None:
    content = bytearray(lora())
    content[position] = byte
    with suppress(BadArtifact):
        check(tmp_path_factory.getbasetemp(), bytes(content[:position] if cut else content))
