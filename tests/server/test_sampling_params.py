"""Sampling parameters are of one model: their types, and the sentences about other values."""

from __future__ import annotations

from typing import Any

import pytest

from server.errors import BadParameter
from server.service.sampling_params import NAMES, parse_sampling_params

BAD: list[tuple[str, Any, str]] = [
    ("temperature", "warm", "temperature must be a number."),
    ("temperature", True, "temperature must be a number."),
    ("temperature", 10**400, "temperature is a number with too many digits."),
    ("temperature", 10**30, "temperature is 1e+30, and must be from 0 to 100."),
    ("top_k", 1.5, "top_k must be a whole number."),
    ("seed", 2**63, "seed is a number with too many digits."),
    ("ignore_eos", 1, "ignore_eos must be true or false."),
    ("logit_bias", {"\ud800": 1}, "logit_bias must be an object of token ids and numbers."),
    ("logit_bias", {"5": "x"}, "logit_bias must be an object of token ids and numbers."),
    ("logit_bias", {"-5": 1}, "logit_bias must be an object of token ids and numbers."),
    ("stop_token_ids", [1, "x"], "stop_token_ids must be a list of token ids."),
    ("stop", [1], "stop must be a string or a list of strings."),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BAD, ids=lambda value: ascii(value)[:30])
def test_a_value_of_another_type_is_refused_by_its_name(
    name: str, value: Any, sentence: str
) -> None:
    with pytest.raises(BadParameter) as refused:
        parse_sampling_params({"top_p": 0.5, name: value})
    assert (str(refused.value), refused.value.param) == (sentence, name)


def test_null_is_the_same_as_left_out() -> None:
    assert parse_sampling_params(dict.fromkeys(NAMES)) == parse_sampling_params({})


def test_a_number_without_a_fraction_is_whole() -> None:
    params = parse_sampling_params({"seed": 7.0, "top_k": -1.0, "stop_token_ids": [3.0]})
    assert (params.seed, params.sampling.top_k, params.sampling.stop_ids) == (7, 0, [3])


def test_defaults_are_for_what_is_left_out() -> None:
    defaults = {"temperature": 1.0}
    assert parse_sampling_params({}, defaults=defaults).sampling.temperature == 1.0
    assert parse_sampling_params({"temperature": 0}, defaults=defaults).sampling.temperature == 0.0


@pytest.mark.parametrize("depth", [500, 800])
def test_a_deeply_nested_parameter_beside_a_number_to_convert_is_refused(depth: int) -> None:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(BadParameter) as refused:
        parse_sampling_params({"top_k": 3.0, "guided_json": nested})
    assert refused.value.param == "guided_json"
