"""The rank of each module in a file of LoRA weights, read from its header. Knows no settings."""

from __future__ import annotations

import json
from pathlib import Path

_PREFIX, _SUFFIX = "base_model.model.", ".lora_A.weight"


def read_ranks(weights: Path) -> dict[str, int]:
    """By the module's name in the base: the shapes say more than `r` and `rank_pattern` do, whose
    keys may be expressions.
    """
    with weights.open("rb") as file:
        num_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(num_bytes))
    return {
        name.removeprefix(_PREFIX).removesuffix(_SUFFIX): int(tensor["shape"][0])
        for name, tensor in header.items()
        if name.endswith(_SUFFIX)
    }
