from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.reader import check_directory
from adapters_registry.adapter_files.strict_json import parse_object
from adapters_registry.errors import (
    BadConfig,
    BadTensor,
    RankTooLarge,
    RemoteCode,
    TooManyBytes,
    WrongRank,
)
from tests.registry.build import QUERY, config, lora, write


def check(directory: Path, weights: bytes | None = None, **changes: Any) -> None:
    files = {
        "adapter_model__safetensors": weights or lora(),
        "adapter_config__json": config(**changes),
    }
    check_directory(write(directory / "a", **files), Limits(max_rank=16))


def check_text(directory: Path, text: bytes) -> None:
    check_directory(write(directory / "a", adapter_config__json=text), Limits())


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{", b"null", b'{"r": NaN}', b'{"r": 1e999}', b"\xff", b"\xef\xbb\xbf{}",
        b"[" * 90_000,
    ],
    ids=["empty", "list", "cut", "null", "nan", "inf", "utf8", "bom", "deep"],
)  # fmt: skip
def test_a_config_that_is_no_strict_json_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadConfig, match=r"adapter_config\.json is refused"):
        check_text(tmp_path, text)


@pytest.mark.parametrize(
    "text", [rb'{"r": "\ud800"}', rb'{"a": [{"\udfff": 1}]}'], ids=["value", "key"]
)
def test_an_unpaired_surrogate_is_refused_wherever_it_stands(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadConfig, match="unpaired surrogate"):
        check_text(tmp_path, text)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_object(rb'{"r": "\ud83d\ude00"}') == {"r": "\N{GRINNING FACE}"}


@pytest.mark.parametrize(
    "digits", [b"9223372036854775808", b"-9223372036854775809", b"9" * 60, b"9" * 5000],
    ids=["above", "below", "long", "very long"],
)  # fmt: skip
def test_a_whole_number_of_more_than_64_bits_is_refused(tmp_path: Path, digits: bytes) -> None:
    with pytest.raises(BadConfig, match="out of range"):
        check_text(tmp_path, b'{"a": [%s]}' % digits)


def test_the_largest_64_bit_numbers_are_read() -> None:
    ends = {"low": -(2**63), "high": 2**63 - 1}
    assert parse_object(json.dumps(ends).encode()) == ends


@pytest.mark.survival("A6")
def test_duplicate_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="'r' appears twice"):
        check_text(tmp_path, b'{"r": 2, "r": 64}')


def test_a_config_over_the_cap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooManyBytes):
        check_text(tmp_path, b'{"r": 2}' + b" " * (1 << 20))


@pytest.mark.survival("A6")
def test_a_manifest_with_duplicate_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"manifest\.json"):
        check_directory(write(tmp_path / "a", manifest__json=b'{"a":1,"a":2}'), Limits())


@pytest.mark.survival("A15")
@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"nested": [{"deeper": {"auto_map": {"AutoModel": "evil.Model"}}}]},
    ],
)
def test_a_config_that_brings_code_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteCode):
        check(tmp_path, **changes)


@pytest.mark.survival("A10")
def test_names_of_things_to_import_are_never_acted_on(tmp_path: Path) -> None:
    check(
        tmp_path,
        auto_mapping={"base_model_class": "system", "parent_library": "os"},
        megatron_core="evil.module",
        trust_remote_code=False,
    )


EXPRESSIONS = [
    "(a+)+$",
    ".*query",
    "query|value",
    "all-linear",
    "^query$",
    "q" * 600,
    "(unclosed",
]


@pytest.mark.survival("A11")
@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("key", ["target_modules", "exclude_modules", "modules_to_save"])
def test_an_expression_is_never_run_nor_needed(tmp_path: Path, key: str, expression: str) -> None:
    check(tmp_path, **{key: expression})
    check(tmp_path, **{key: ["query", expression]})


@pytest.mark.survival("A11", "A8")
def test_a_rank_that_an_expression_lifts_is_read_from_the_shapes(tmp_path: Path) -> None:
    check(tmp_path, lora(rank=4), r=2, rank_pattern={"(a+)+$": 4})
    with pytest.raises(WrongRank, match=r"rank 3 according to its tensors, but .* declares 2"):
        check(tmp_path, lora(rank=3), r=2, rank_pattern={"(a+)+$": 4})


@pytest.mark.parametrize(
    "names", ["query", "attention.self.query", ["query", "layer.0.attention.self.value"], None]
)
def test_modules_named_exactly_or_by_suffix_pass(tmp_path: Path, names: object) -> None:
    check(tmp_path, target_modules=names, modules_to_save=["classifier"])


@pytest.mark.parametrize("names", [7, 0, False, {}, {"a": 1}, [1], [None]])
def test_target_modules_that_are_no_names_are_refused(tmp_path: Path, names: object) -> None:
    with pytest.raises(BadConfig, match="target_modules"):
        check(tmp_path, target_modules=names)


def test_a_rank_pattern_that_is_no_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="rank_pattern"):
        check(tmp_path, rank_pattern=["query"])


@pytest.mark.parametrize("rank", [0, -1, 2.0, "2", True, None])
def test_a_rank_that_is_no_count_is_refused(tmp_path: Path, rank: object) -> None:
    with pytest.raises(BadConfig, match="r must be"):
        check(tmp_path, r=rank)


@pytest.mark.survival("A8")
def test_a_rank_other_than_the_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        WrongRank,
        match=r"query has rank 2 according to its tensors, but adapter_config.json declares 4",
    ):
        check(tmp_path, r=4)


def test_a_rank_pattern_is_followed(tmp_path: Path) -> None:
    check(tmp_path, lora(rank=4), r=2, rank_pattern={"self.query": 4})


def test_a_rank_pattern_for_other_modules_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(WrongRank):
        check(tmp_path, lora(rank=4), r=2, rank_pattern={"elf.query": 4})


@pytest.mark.survival("A8")
def test_a_rank_over_the_limit_in_the_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RankTooLarge, match="rank 17; the maximum is 16"):
        check(tmp_path, lora(rank=17), r=2, rank_pattern={"query": 17})


@pytest.mark.survival("A8")
def test_a_rank_over_the_limit_is_refused_under_any_kinds_name(tmp_path: Path) -> None:
    with pytest.raises(RankTooLarge):
        check(tmp_path, lora(rank=17), peft_type=None, adapterd_kind="lora")


@pytest.mark.survival("A8")
@pytest.mark.parametrize("changes", [{"r": 10**6}, {"rank_pattern": {"value": 10**6}}])
def test_a_rank_over_the_limit_in_the_config_alone_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(RankTooLarge):
        check(tmp_path, **changes)


def test_halves_of_two_ranks_are_refused(tmp_path: Path) -> None:
    weights = {f"{QUERY}.lora_A.weight": np.ones((2, 4), np.float32),
               f"{QUERY}.lora_B.weight": np.ones((4, 3), np.float32)}  # fmt: skip
    with pytest.raises(WrongRank, match="2 in lora_A and 3 in lora_B"):
        check(tmp_path, save(weights))


@pytest.mark.parametrize("half", ["A", "B"])
def test_half_a_pair_is_refused(tmp_path: Path, half: str) -> None:
    with pytest.raises(BadTensor, match=f"has only lora_{half}"):
        check(tmp_path, save({f"{QUERY}.lora_{half}.weight": np.ones((2, 2), np.float32)}))


def test_a_lora_matrix_of_three_dimensions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTensor, match="two dimensions"):
        check(tmp_path, save({f"{QUERY}.lora_A.weight": np.ones((2, 4, 1), np.float32)}))


def test_another_kind_has_no_lora_ranks_to_check(tmp_path: Path) -> None:
    check(
        tmp_path, save({"down.weight": np.ones((2, 4), np.float32)}), peft_type="BOTTLENECK", r=None
    )
