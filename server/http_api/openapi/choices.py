"""Fields whose values are names: the lists come from where the names are defined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.heads import HEADS
from engine.heads.head import POOLINGS
from engine.kind_settings import KIND_SETTINGS
from server.health import State
from trainer.jobs.events import LEVELS
from trainer.jobs.states import Phase, Status

_HEADS = sorted(HEADS)
_KINDS = list(KIND_SETTINGS)

#: by schema and field
CHOICES: dict[tuple[str, str], Sequence[str]] = {
    ("JobBody", "head"): _HEADS,
    ("JobBody", "kind"): [*_KINDS, "prompt"],
    ("JobBody", "pooling"): POOLINGS,
    ("JobView", "status"): list(Status),
    ("JobView", "phase"): list(Phase),
    ("JobEventView", "level"): list(LEVELS),
    ("TaskView", "head"): _HEADS,
    ("VersionView", "head"): _HEADS,
    ("VersionView", "kind"): _KINDS,
    ("StateOut", "status"): ["live", *State],
}


def name_choices(schemas: dict[str, Any]) -> None:
    """Adds them to the schemas of the document."""
    for (schema, field), values in CHOICES.items():
        described = schemas[schema]["properties"][field]
        text = next(
            each
            for each in (described, *described.get("anyOf", ()))
            if each.get("type") == "string"
        )
        text["enum"] = [str(value) for value in values]
