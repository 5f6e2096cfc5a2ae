"""The kinds, heads and poolings that a base can have, found by the checks that open a training.

Knows no task and no slot.
"""

from __future__ import annotations

from typing import Any

from engine.adapters.head_layers import checked_head
from engine.errors import BadAdapter, BadTraining
from engine.heads import HEADS
from engine.kinds import KINDS
from engine.model.base import Base

#: labels that any head with labels takes
_LABELS = ["O", "B-X"]


def possible_poolings(base: Base) -> dict[str, list[str]]:
    """By head; a head that the base cannot have is left out."""
    poolings = {
        name: [pooling for pooling in kind.poolings if _fits(name, pooling, base)]
        for name, kind in HEADS.items()
    }
    return {name: fitting for name, fitting in poolings.items() if fitting}


def possible_kinds(base: Base) -> list[str]:
    return [name for name in KINDS if _opens(name, base)]


def _fits(head: str, pooling: str, base: Base) -> bool:
    settings: dict[str, Any] = {"kind": head, "pooling": pooling}
    if "labels" in HEADS[head].settings:
        settings["labels"] = _LABELS
    try:
        checked_head(settings, base)
    except BadAdapter:
        return False
    return True


def _opens(kind: str, base: Base) -> bool:
    try:
        KINDS[kind].check({}, base)
    except (BadAdapter, BadTraining):
        return False
    return True
