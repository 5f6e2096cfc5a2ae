"""What is told of a training beside the job itself: its events, and what it would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One thing that was told of a job. `code` is dotted and stable, `number` counts from 1."""

    number: int
    created_at: float
    level: str
    code: str
    message: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job would take, if none of its runs stops early; `basis` says how that is known."""

    steps: int
    tokens: int
    seconds: float
    basis: str
    rows: Mapping[str, int]
    trainable_parameters: int
    slot_bytes: int
    optimizer_bytes: int
    cache_bytes: int
    warnings: Sequence[str]
