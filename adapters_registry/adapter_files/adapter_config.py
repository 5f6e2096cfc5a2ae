"""A foreign `adapter_config.json`, read as data: nothing it names is imported, no expression run.

Checks the parts that every PEFT method shares and the ranks of LoRA. What a kind makes of the rest
is the engine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters_registry.adapter_files.header import Tensor
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.errors import (
    BadConfig,
    BadTensor,
    RankTooLarge,
    RemoteCode,
    WrongRank,
)

_MODULE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", re.ASCII)
_CODE_KEYS = ("auto_map", "trust_remote_code")
_MODULE_LISTS = (
    "target_modules",
    "exclude_modules",
    "modules_to_save",
    "feedforward_modules",
    "layers_pattern",
    "target_parameters",
)
_MODULE_MAPS = ("rank_pattern", "alpha_pattern")
_WRAPPER = "base_model.model."
_LORA = re.compile(r"(?P<module>.+)\.lora_(?:embedding_)?(?P<half>[AB])(?:\.weight)?", re.ASCII)


def check_config(config: Mapping[str, Any]) -> None:
    """BadConfig if it asks for code, or names modules by anything but texts.

    It does not matter whether a string is a module's name or an expression: the tensors name the
    modules.
    """
    for key in _CODE_KEYS:
        if any(key in mapping and mapping[key] for mapping in _mappings(config)):
            raise RemoteCode(
                f"adapter_config.json sets {key}; adapters that load code of their own are refused",
                key=key,
            )
    for key in _MODULE_LISTS:
        _check_names(key, config.get(key))
    for key in _MODULE_MAPS:
        _mapping(key, config.get(key))


def check_ranks(config: Mapping[str, Any], tensors: Iterable[Tensor], limits: Limits) -> None:
    """Every LoRA pair has the rank that is declared for its module, within the limit.

    The limit is on the largest rank in the shapes, whatever the configuration calls itself:
    `rank_pattern` can lift one module alone, and another kind's name would lift them all.
    """
    ranks = _pair_ranks(tensors)
    for module, rank in ranks.items():
        _check_limit(module, rank, limits)
    if str(config.get("peft_type", "")).upper() == "LORA":
        _check_declared(config, ranks, limits)


def _check_declared(config: Mapping[str, Any], ranks: Mapping[str, int], limits: Limits) -> None:
    declared = _rank("r", config.get("r", 8))
    lifted = _mapping("rank_pattern", config.get("rank_pattern"))
    pattern = {key: _rank(f"rank_pattern.{key}", value) for key, value in lifted.items()}
    for name, rank in {"r": declared, **pattern}.items():
        _check_limit(name, rank, limits)
    # an expression is not run: whatever it lifts has its rank, and the shapes say which those are
    by_expression = {rank for key, rank in pattern.items() if _MODULE.fullmatch(key) is None}
    for module, rank in ranks.items():
        expected = next((pattern[key] for key in pattern if _names_module(key, module)), declared)
        if rank not in {expected, *by_expression}:
            raise WrongRank(
                f"{module} has rank {rank} according to its tensors, but adapter_config.json "
                f"declares {expected}",
                module=module,
            )


def _check_limit(name: str, rank: int, limits: Limits) -> None:
    if rank > limits.max_rank:
        raise RankTooLarge(f"{name} has rank {rank}; the maximum is {limits.max_rank}", rank=rank)


def _pair_ranks(tensors: Iterable[Tensor]) -> dict[str, int]:
    halves: dict[str, dict[str, int]] = {}
    for tensor in tensors:
        match = _LORA.fullmatch(tensor.name)
        if match is None:
            continue
        if len(tensor.shape) != 2:
            raise BadTensor(
                f"{tensor.name} has shape {list(tensor.shape)}; a LoRA matrix has two dimensions"
            )
        half = match["half"]
        rank = tensor.shape[0] if half == "A" else tensor.shape[1]
        halves.setdefault(match["module"].removeprefix(_WRAPPER), {})[half] = rank
    return {module: _common_rank(module, pair) for module, pair in halves.items()}


def _common_rank(module: str, pair: Mapping[str, int]) -> int:
    if set(pair) != {"A", "B"}:
        raise BadTensor(
            f"{module} has only lora_{''.join(pair)}; lora_A and lora_B are both required"
        )
    if pair["A"] != pair["B"]:
        raise WrongRank(
            f"{module} has rank {pair['A']} in lora_A and {pair['B']} in lora_B", module=module
        )
    return pair["A"]


def _names_module(key: str, module: str) -> bool:
    return module == key or module.endswith(f".{key}")


def _rank(key: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise BadConfig(
            f"adapter_config.json: {key} must be a positive integer, not {str(value)[:40]!r}"
        )
    return value


def _check_names(key: str, value: object) -> None:
    """PEFT takes a single text for a regular expression."""
    listed = [] if value is None else [value]
    names = value if isinstance(value, list) else listed
    if not all(isinstance(name, str) for name in names):
        raise BadConfig(f"adapter_config.json: {key} must be a list of module names")


def _mapping(key: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadConfig(f"adapter_config.json: {key} must map module names to numbers")
    return value


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Every JSON object in the document, without recursion: its depth is the sender's choice."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            yield item
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
