"""How the setting `tenant_weights` is written. Knows no tenant and no queue."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode


def _read_weights(value: object) -> object:
    """`acme=2,globex=0.5`, or its parts in a list, as a table."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    pairs = [str(part).split("=") for part in parts]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError(
            "weights are written as NAME=WEIGHT,NAME=WEIGHT; adapterd.toml may have a table instead"
        )
    counts = Counter(name.strip() for name, _ in pairs)
    if twice := [name for name, number in counts.items() if number > 1]:
        raise ValueError(f"{', '.join(twice)} has more than one weight")
    return {name.strip(): weight for name, weight in pairs}


#: within these bounds a tenant of the least weight still gets turns
_Weight = Annotated[float, Field(ge=0.01, le=1000)]
_Name = Annotated[str, Field(min_length=1)]
TenantWeights = Annotated[dict[_Name, _Weight] | None, NoDecode, BeforeValidator(_read_weights)]
