"""The states that a sweep saw, without repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

State = TypeVar("State")


def list_transitions(states: Sequence[State]) -> list[State]:
    """In their order: one that comes back is there twice."""
    return [states[0], *(after for before, after in pairwise(states) if before != after)]
